"""Locks between processes. The kernel releases them when their holder dies, so nobody waits on the dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from stemsep_envs.errors import LimitError
from stemsep_envs.host.files import explained

_LOOK_SECONDS = 0.25
"""How often a waiting process says that it waits and can be interrupted."""


@contextmanager
def hold(
    path: Path, *, timeout_seconds: float | None = None, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock named by ``path`` while the block runs. Lock files are left in place: removing one would break it.

    Args:
        path: The lock's file; its folder is made.
        timeout_seconds: How long to wait; None waits for as long as the holder lives.
        on_wait: Called once, when the lock is found held.

    Raises:
        LimitError: The timeout passed.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, thread_local=False)
        waited_seconds = 0.0
        while True:
            try:
                lock.acquire(timeout=0 if waited_seconds == 0 else _LOOK_SECONDS)
                break
            except Timeout:
                if waited_seconds == 0 and on_wait is not None:
                    on_wait()
                waited_seconds += _LOOK_SECONDS
                if timeout_seconds is not None and waited_seconds >= timeout_seconds:
                    raise LimitError(
                        f"another process has held {path.name} for {waited_seconds:.0f} s",
                        hint="wait for it to finish, or end it",
                        code="lock_timeout",
                    ) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Say whether some living process holds the lock named by ``path``."""
    if not path.exists():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
