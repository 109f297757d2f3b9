"""Locks between processes. The kernel releases them when their holder dies, so nobody waits on the dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stemsep_envs.errors import LimitError
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.write_errors import explained

if TYPE_CHECKING:
    from filelock import FileLock

_LOOK_SECONDS = 0.05
"""How often a waiting process looks again; in between it can be interrupted."""


@contextmanager
def hold(
    path: Path, *, timeout_seconds: float | None = None, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock named by ``path`` while the block runs. Its file is left in place: removing it would break it.

    A lock is not taken twice: a second `hold` waits, in the same process and thread too.

    Args:
        path: The lock's file; its folder is made.
        timeout_seconds: How long to wait; None waits for as long as the holder lives.
        on_wait: Called once, when the lock is found held.

    Raises:
        LimitError: The timeout passed.
        UsageError: The lock's file cannot be made or opened.
    """
    ensure_dir(path.parent)
    lock = _lock(path)
    if not _taken(lock, path, 0):
        if on_wait is not None:
            on_wait()
        if not _taken(lock, path, -1 if timeout_seconds is None else timeout_seconds):
            raise LimitError(
                f"another process has held {path.name} for more than {timeout_seconds:g} s",
                hint="wait for it to finish, or end it",
                code="lock_timeout",
            )
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Say whether some living process holds the lock named by ``path``; no file is made where there is none."""
    if not path.is_file():
        return False
    lock = _lock(path)
    if not _taken(lock, path, 0):
        return True
    lock.release()
    return False


def _lock(path: Path) -> FileLock:
    from filelock import FileLock  # noqa: PLC0415 - takes longer to load than most commands that lock nothing have

    return FileLock(path, thread_local=False)


def _taken(lock: FileLock, path: Path, timeout_seconds: float) -> bool:
    """Take the lock, waiting up to a time (-1: for ever); say whether that worked."""
    from filelock import Timeout  # noqa: PLC0415 - see above

    with explained(path):
        try:
            lock.acquire(timeout=timeout_seconds, poll_interval=_LOOK_SECONDS)
        except Timeout:  # which is an OSError too
            return False
    return True
