"""Removing files and folders, also hostile ones: read-only, bottomless, full of links, changing meanwhile."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

_MOST_RACES = 100
_MOST_FOLDERS = 1_000_000
_MOST_NAMES = 250_000
"""Read of a folder at once: some file systems list what is made meanwhile, without end."""

_OF_DESCRIPTORS = Path("/proc/self/fd")
"""Where Linux lets a descriptor be named, so that what is changed is what was looked at."""

_RACES = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
"""What the system says where someone still makes files, or put something else in a folder's place."""


def remove_file(path: Path) -> None:
    """Remove a file; one that is not there is fine."""
    with suppress(FileNotFoundError):
        path.unlink()


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, also what is marked read-only and however deep; one that is not there is fine.

    Links are removed, never followed, and nothing outside of the folder changes, whatever is put in whose place
    meanwhile. What else vanishes meanwhile is fine.

    Raises:
        OSError: Something in it cannot be removed, or someone fills it as fast as it is emptied.
    """
    if path.is_symlink() or not path.is_dir():
        remove_file(path)
    elif sys.platform == "win32":
        _remove_tree_on_windows(path)
    else:
        with suppress(FileNotFoundError):
            _remove_dir(path)


class _Patience:
    """Ends when someone makes files as fast as they are removed, or puts other things in their places."""

    def __init__(self) -> None:
        self._left = _MOST_RACES
        self._folders = _MOST_FOLDERS

    def count_folder(self) -> None:
        """Count a folder: one that is dug deeper as fast as it is taken down has no end either."""
        self._folders -= 1
        if self._folders < 0:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    def lose(self, races: int, error: OSError | None = None) -> None:
        self._left -= races
        if self._left < 0 or (error is not None and error.errno not in _RACES):
            raise error or OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))


def _remove_dir(path: Path) -> None:
    patience = _Patience()
    while True:
        top = _open_dir(path, None)
        try:
            _empty(top, patience)
        finally:
            os.close(top)
        try:
            path.rmdir()
        except OSError as error:
            patience.lose(1, error)
        else:
            return


def _empty(top: int, patience: _Patience) -> None:
    """Remove all in an open folder. What lies deeper is moved up first: depth costs neither stack nor descriptors."""
    folders = _remove_files(top)
    while folders:
        moved: set[str] = set()
        for folder in folders:
            patience.count_folder()
            try:
                moved |= _dissolve(folder, top)
            except FileNotFoundError:
                continue
            except OSError as error:
                patience.lose(1, error)
        folders = _remove_files(top)
        patience.lose(len(set(folders) - moved))


def _dissolve(folder: str, top: int) -> set[str]:
    """Remove a folder below an open one, to which the folders in it are moved; return their new names."""
    moved: set[str] = set()
    inner = _open_dir(folder, top)
    try:
        for deeper in _remove_files(inner):
            _make_writable(deeper, inner)  # a folder that moves has its ".." written
            name = secrets.token_hex(16)
            os.rename(deeper, name, src_dir_fd=inner, dst_dir_fd=top)
            moved.add(name)
    finally:
        os.close(inner)
    os.rmdir(folder, dir_fd=top)
    return moved


def _remove_files(folder: int) -> list[str]:
    """Remove what is not a folder from an open folder; return the names of its folders."""
    with os.scandir(folder) as entries:
        kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in islice(entries, _MOST_NAMES)}
    for name, is_dir in kinds.items():
        if not is_dir:
            try:
                os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue
            except IsADirectoryError:  # it became one
                kinds[name] = True
    return [name for name, is_dir in kinds.items() if is_dir]


def _open_dir(name: str | Path, parent: int | None) -> int:
    """Open a folder, not through a link, to be read and written whatever its mode was."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    found = _find_dir(name, parent)
    if found is None:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    try:
        return os.open(_OF_DESCRIPTORS / str(found), flags)
    finally:
        os.close(found)


def _make_writable(name: str | Path, parent: int | None) -> None:
    found = _find_dir(name, parent)
    if found is not None:
        os.close(found)


def _find_dir(name: str | Path, parent: int | None) -> int | None:
    """Find a folder, not through a link, and make it writable.

    Returns:
        A descriptor by which it can be named, whatever its name stands for meanwhile; None where there are none such.
    """
    if sys.platform == "linux" and _OF_DESCRIPTORS.is_dir():
        found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        if os.fstat(found).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            with suppress(PermissionError):  # another user's; whether that matters shows when it is used
                (_OF_DESCRIPTORS / str(found)).chmod(stat.S_IRWXU)
        return found
    facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(PermissionError, NotImplementedError, ValueError):  # a system that can't leave links alone
            os.chmod(name, stat.S_IRWXU, dir_fd=parent, follow_symlinks=False)
    return None


def _remove_tree_on_windows(path: Path) -> None:
    def retry(call: Callable[..., object], name: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if not isinstance(error, PermissionError):
            raise error
        Path(name).chmod(stat.S_IWRITE)
        call(name)

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=retry)
    else:
        shutil.rmtree(path, onerror=lambda call, name, info: retry(call, name, info[1]))
