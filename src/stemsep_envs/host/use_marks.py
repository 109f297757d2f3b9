"""Who uses something now, and when it was last used: files in a folder beside it.

A live user has a file there that it holds locked, so that a killed one counts no more; the time of last change of
``last-used`` is when the last use began or ended.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.host import locks
from stemsep_envs.host.last_use import record_use
from stemsep_envs.host.tree_removal import remove_file

_MARK = re.compile(r"[0-9]+-[0-9a-f]{8}")


@contextmanager
def mark(folder: Path) -> Iterator[None]:
    """Mark what the folder belongs to as used by this process while the block runs."""
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with locks.hold(path):
            yield
    finally:
        remove_file(path)


def users(folder: Path) -> tuple[int, ...]:
    """Return the processes that use it, one for each use."""
    try:
        marks = [path for path in folder.iterdir() if _MARK.fullmatch(path.name)]
    except FileNotFoundError:
        return ()
    return tuple(int(path.name.partition("-")[0]) for path in marks if locks.is_held(path))


def last_used_path(folder: Path) -> Path:
    """Return the file whose time of last change says when it was last used."""
    return folder / "last-used"


def last_used_at(folder: Path) -> float | None:
    """Return when it was last used, in seconds since 1970; None when never."""
    try:
        return last_used_path(folder).stat().st_mtime
    except OSError:
        return None


def record_last_use(folder: Path) -> None:
    """Say that it is used now."""
    record_use(last_used_path(folder))
