"""Taking untrusted files: out of folders that an untrusted process wrote.

A name in such a folder, and the folder itself, may be a link, a pipe or a device by the time it is looked at. So it is
first moved, unseen, to where that process cannot reach it, and looked at there: only a regular file with a single name
is taken, up to a size.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.host.write_errors import explained

_log = logging.getLogger(__name__)

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_FLAGS = os.O_RDONLY | _NO_LINKS | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class RefusedFileError(Exception):
    """Why a file is not taken, as the end of a sentence that names it: ``it is not a regular file``."""


def take(
    source: Path,
    destination: Path,
    *,
    max_bytes: int,
    copied: bool,
    on_block: Callable[[int], None] | None = None,
) -> tuple[str, int]:
    """Move a file out of an untrusted folder; return its SHA-256 and its size in bytes.

    Args:
        source: The file. The process may have replaced the folder it lies in; what lies above that is trusted.
        destination: Its new path, in an existing folder that only this program writes, on the same file system.
        max_bytes: The largest size taken.
        copied: Whether the content is copied rather than the file moved: whoever made it may keep it open and go on
            writing. Nothing is gained by that where no boundary holds the process. Holes are copied as holes.
        on_block: Called with the size of each block before it is taken; may raise to stop.

    Raises:
        RefusedFileError: Missing, not a regular file, linked from elsewhere, or too large.
        LimitError: The disk is full.
    """
    moved = destination.with_name(f".{secrets.token_hex(8)}.moved")
    try:
        _move(source, moved)
        descriptor = _open(moved, max_bytes)
        with os.fdopen(descriptor, "rb") as stream:
            if copied:
                return copy_hashed(
                    stream,
                    destination,
                    max_bytes=max_bytes,
                    durable=False,
                    sparse=_has_holes(descriptor),
                    on_block=on_block,
                )
            _make_plain(descriptor)
            found = _hash(descriptor, on_block)
        with explained(destination):
            moved.replace(destination)
        return found
    finally:
        try:
            remove_tree(moved)
        except OSError as error:  # a folder that its maker fills as fast as it is emptied; why it is not taken matters
            _log.warning("cannot remove %s: %s", moved, error.strerror or error)


def leads_out(folder: Path, root: Path) -> bool:
    """Say whether a link stands anywhere on the way from a trusted ``root`` down to ``folder``, or it is not there."""
    inner = [folder, *folder.parents]
    return not all(stat.S_ISDIR(_mode(path)) for path in inner[: inner.index(root)])


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _move(source: Path, moved: Path) -> None:
    """Move whatever is called so, without looking at it and not through a link."""
    try:
        if sys.platform == "win32":
            source.rename(moved)
            return
        folder = os.open(source.parent, os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS)
        try:
            os.rename(source.name, moved, src_dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno == errno.EXDEV and source.parent.lstat().st_dev != moved.parent.lstat().st_dev:
            raise ValueError(f"{moved.parent} is not on the file system of {source.parent}") from error
        raise RefusedFileError(f"it cannot be moved ({error.strerror})") from None


def _open(moved: Path, max_bytes: int) -> int:
    """Open what was moved. Its one name is ours now, so no other name of it can be about to vanish."""
    try:
        descriptor = os.open(moved, _OPEN_FLAGS)
    except OSError as error:
        raise RefusedFileError(f"it cannot be opened ({error.strerror})") from None
    facts = os.fstat(descriptor)
    why = None
    if not stat.S_ISREG(facts.st_mode):
        why = "it is not a regular file"
    elif facts.st_nlink != 1:
        why = "it has more than one hard link"
    elif facts.st_size > max_bytes:
        why = f"it is larger than {max_bytes} bytes"
    if why is not None:
        os.close(descriptor)
        raise RefusedFileError(why)
    return descriptor


def _make_plain(descriptor: int) -> None:
    """Take away what its maker may have set: a program's bits, or those that lock its owner out."""
    if sys.platform != "win32":
        os.fchmod(descriptor, (os.fstat(descriptor).st_mode & 0o666) | 0o600)


def _has_holes(descriptor: int) -> bool:
    """Say whether a file takes less space than its size: written out, it could fill a disk that it fits on."""
    facts = os.fstat(descriptor)
    return sys.platform != "win32" and facts.st_blocks * 512 < facts.st_size


def _hash(descriptor: int, on_block: Callable[[int], None] | None) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := os.read(descriptor, 1 << 20):
        if on_block is not None:
            on_block(len(block))
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size
