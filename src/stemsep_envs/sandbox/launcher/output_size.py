"""How much a worker's folder holds, though the worker may be hiding it at this moment.

It may close its folders to us, rename them as fast as we look, nest them without end, remove files that it keeps open.
So each folder is looked at by its descriptor and until nothing slips away; what cannot be looked at counts as too much;
and the whole has an end, in depth, number and time.
"""

from __future__ import annotations

import os
import time

from stemsep_envs.host.process_tree import descendants_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_FILES = 100_000
"""A worker that makes more files than this has written too much, whatever their size."""

_MOST_DEPTH = 64
_MOST_SECONDS = 10.0
_MOST_TRIES = 400
"""How often something may slip away from one folder before it was looked at."""

_STEPS_AT_ONCE = 64
"""Between two looks at the clock and at who calls."""

_RESERVE_BYTES = 512 << 20
"""Of a disk no more than this, or a tenth of what was free at the start, is left: it is as good as full."""


def holds_more(folder: str, most_bytes: int, is_called: Callable[[], bool]) -> bool:
    """Say whether a folder, with the removed files that our descendants keep open, holds more than it may.

    Args:
        folder: The folder.
        most_bytes: What it may hold.
        is_called: Whether there is something else to do at once: then the look is broken off.
    """
    look = _Look(most_bytes, is_called)
    try:
        top = _open(folder, None)
        try:
            look.measure(top, 0)
            look.add_removed(os.fstat(top).st_dev)
        finally:
            os.close(top)
    except _CalledError:
        return False
    except (_TooMuchError, OSError):
        return True
    return False


class Disk:
    """The file system of a folder, watched because a worker can fill it by what no look finds."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        free = self._free_bytes()
        self._least = 0 if free is None else min(free // 10, _RESERVE_BYTES)

    def is_full(self) -> bool:
        """Say whether almost nothing is left of what was free at the start."""
        free = self._free_bytes()
        return free is not None and free < self._least

    def _free_bytes(self) -> int | None:
        try:
            facts = os.statvfs(self._folder)
        except OSError:
            return None
        return facts.f_bavail * facts.f_frsize if facts.f_blocks else None


class _TooMuchError(Exception):
    """More than it may, or more than can be looked at."""


class _CalledError(Exception):
    """Something else is to be done at once."""


class _Look:
    def __init__(self, most_bytes: int, is_called: Callable[[], bool]) -> None:
        self._left = most_bytes
        self._is_called = is_called
        self._seen: set[tuple[int, int]] = set()
        self._steps = 0
        self._until = time.monotonic() + _MOST_SECONDS

    def measure(self, folder: int, depth: int) -> None:
        """Add all in an open folder, then itself: what was added is not looked at again."""
        if depth > _MOST_DEPTH:
            raise _TooMuchError
        for _ in range(_MOST_TRIES):
            if self._saw_everything(folder, depth):
                self._add(os.fstat(folder))
                return
        raise _TooMuchError

    def _saw_everything(self, folder: int, depth: int) -> bool:
        complete = True
        device = os.fstat(folder).st_dev
        with os.scandir(folder) as entries:
            for entry in entries:
                self._step()
                if (device, entry.inode()) in self._seen:
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        self._measure_below(entry.name, folder, depth)
                    else:
                        self._add(os.stat(entry.name, dir_fd=folder, follow_symlinks=False))
                except OSError:  # it has another name by now, or is closed to us
                    complete = False
        return complete

    def _measure_below(self, name: str, parent: int, depth: int) -> None:
        inner = _open(name, parent)
        try:
            self.measure(inner, depth + 1)
        finally:
            os.close(inner)

    def add_removed(self, device: int) -> None:
        """Add the removed files of a file system that our descendants keep open; not what they only map."""
        for pid in descendants_of(os.getpid()):
            try:
                names = os.listdir(f"/proc/{pid}/fd")
            except OSError:
                continue  # it ended, or is closed to us
            for name in names:
                self._step()
                try:
                    facts = os.stat(f"/proc/{pid}/fd/{name}")
                except OSError:
                    continue
                if facts.st_nlink == 0 and facts.st_dev == device:
                    self._add(facts)

    def _add(self, facts: os.stat_result) -> None:
        key = (facts.st_dev, facts.st_ino)
        if key in self._seen:
            return
        self._seen.add(key)
        self._left -= facts.st_blocks * 512
        if self._left < 0 or len(self._seen) > _MOST_FILES:
            raise _TooMuchError

    def _step(self) -> None:
        self._steps += 1
        if self._steps % _STEPS_AT_ONCE == 0:
            if self._is_called():
                raise _CalledError
            if time.monotonic() > self._until:
                raise _TooMuchError


def _open(name: str, parent: int | None) -> int:
    """Open a folder, not through a link, and also where its owner has closed it to itself."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        found = os.open(name, flags, dir_fd=parent)
    except PermissionError:
        _open_up(name, parent)
        return os.open(name, flags, dir_fd=parent)
    if os.fstat(found).st_mode & 0o500 != 0o500 and os.geteuid() != 0:
        try:
            os.fchmod(found, 0o700)
        except OSError:
            os.close(found)
            raise
    return found


def _open_up(name: str, parent: int | None) -> None:
    found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{found}", 0o700)
    finally:
        os.close(found)
