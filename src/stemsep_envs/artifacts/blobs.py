"""Files by hash: ``artifacts/sha256/aa/<hash>``, read-only.

A file is read whole when it is first met, and again whenever its size, times or inode are not what they were then. The
time of change of an inode (ctime) cannot be set by a program, so a file that was written to is noticed without reading.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from stemsep_envs.host.atomic_write import publish, write_atomic
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.last_use import record_use
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file
from stemsep_envs.host.write_errors import explained

BlobState = Literal["whole", "absent", "damaged"]

READ_ONLY = 0o444
_SETTLED_SECONDS = 2.0
"""A file that changed this shortly before it was read may change again under the same time."""


def blob_path(home: Home, sha256: str) -> Path:
    """Return where the file with this hash lies, whether it is there or not."""
    return home.artifacts_dir / "sha256" / sha256[:2] / sha256


def stamp_path(home: Home, sha256: str) -> Path:
    """Return the file that tells how a blob was when it was verified; its time of change says when it was last used."""
    return home.artifacts_dir / "stamps" / sha256[:2] / sha256


def has_blob(home: Home, sha256: str) -> bool:
    """Say whether the file with this hash is here and whole."""
    return blob_state(home, sha256) == "whole"


def blob_state(home: Home, sha256: str, *, check: Callable[[], None] | None = None) -> BlobState:
    """Say whether the file with this hash is here and whole; it is read only if it changed since it was last read.

    Args:
        home: The home.
        sha256: The hash.
        check: Called now and then while reading; may raise to stop.
    """
    path = blob_path(home, sha256)
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return "damaged"
        if _kept_stamp(home, sha256) == _stamp(found):
            return "whole"
        actual, _ = sha256_of(path, check=check)
        after = path.lstat()
    except FileNotFoundError:
        return "absent"
    except OSError:
        return "damaged"
    if actual != sha256 or _stamp(after) != _stamp(found):
        return "damaged"
    if time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED_SECONDS:
        remember(home, sha256)
    return "whole"


def store_blob(home: Home, sha256: str, staged: Path) -> Path:
    """Give a verified file its place; where one is there it is replaced by the same bytes. The caller holds its lock.

    Raises:
        LimitError: No space.
        UsageError: The home cannot be written.
    """
    path = blob_path(home, sha256)
    with explained(staged):
        staged.chmod(READ_ONLY)
    publish(staged, path)
    remember(home, sha256)
    return path


def remember(home: Home, sha256: str) -> None:
    """Remember that the file with this hash was just read and found whole. Failing to (read-only homes) is no error."""
    from stemsep_envs.errors import StemsepEnvError  # noqa: PLC0415 - only where something is written

    try:
        write_atomic(stamp_path(home, sha256), _stamp(blob_path(home, sha256).lstat()).encode())
    except (StemsepEnvError, OSError):
        return


def mark_used(home: Home, sha256: str) -> None:
    """Note that the file is used now."""
    path = stamp_path(home, sha256)
    if path.is_file():
        record_use(path)


def last_used_at(home: Home, sha256: str) -> float | None:
    """Return when the file was last used or verified, in seconds since 1970; None when that is not known."""
    try:
        return stamp_path(home, sha256).stat().st_mtime
    except OSError:
        return None


def set_aside(home: Home, sha256: str) -> Path:
    """Move a damaged file to where nobody takes it for what it should be; return where it is. The lock is held.

    Raises:
        UsageError: The home cannot be written.
    """
    damaged = home.artifacts_dir / "damaged"
    place = damaged / f"{sha256[:16]}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    ensure_dir(damaged)
    with explained(place):
        with suppress(FileNotFoundError):  # another process did it at this moment
            blob_path(home, sha256).rename(place)
        remove_file(stamp_path(home, sha256))
    return place


def remove_blob(home: Home, sha256: str) -> None:
    """Remove a file. The caller holds its lock."""
    path = blob_path(home, sha256)
    with explained(path):
        if os.name == "nt" and path.exists():
            path.chmod(stat.S_IWRITE)  # Windows removes nothing that is read-only
        remove_file(path)
        remove_file(stamp_path(home, sha256))


def stored_hashes(home: Home) -> list[str]:
    """Return the hashes of all files that are here, by name alone."""
    root = home.artifacts_dir / "sha256"
    if not root.is_dir():
        return []
    found = (path for folder in root.iterdir() if folder.is_dir() for path in folder.iterdir())
    return sorted(path.name for path in found if is_hash(path.name) and path.parent.name == path.name[:2])


def is_hash(text: str) -> bool:
    """Say whether a text is a SHA-256 in lower-case hexadecimal."""
    return len(text) == 64 and not text.strip("0123456789abcdef")


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _kept_stamp(home: Home, sha256: str) -> str | None:
    try:
        return stamp_path(home, sha256).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
