"""Taking finished stems from a worker's scratch folder, under names the host chose.

The folder belongs to an untrusted process, so a name in it, and the folder itself, may be a link, a pipe or a device by
the time it is looked at. So it is first moved, unseen, to where the worker cannot reach it, and looked at there: only a
regular file with a single name is taken, up to a size.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.errors import ModelError
from stemsep_envs.host.files import copy_hashed, explained, remove_tree

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_FLAGS = os.O_RDONLY | _NO_LINKS | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Ingested:
    """A finished stem, out of the worker's reach, and what it holds."""

    path: Path
    sha256: Sha256
    size_bytes: int


def ingest(source: Path, destination: Path, *, max_bytes: int, confined: bool) -> Ingested:
    """Move a worker's output to a folder of ours.

    Args:
        source: The file in the worker's scratch folder. The worker may have replaced the folder; what lies above it is
            trusted.
        destination: Its new path, in an existing folder that only the host writes, on the same file system.
        max_bytes: The largest size taken.
        confined: Whether the worker is held by a boundary. If so the content is copied, since the worker may keep the
            file open and go on writing; if not, nothing is gained by that.

    Raises:
        ModelError: Missing, not a regular file, linked from elsewhere, or too large.
        LimitError: The disk is full.
    """
    moved = destination.with_name(f".{secrets.token_hex(8)}.moved")
    try:
        _move(source, moved)
        descriptor = _open(moved, source, max_bytes)
        with os.fdopen(descriptor, "rb") as stream:
            if confined:
                digest, size = copy_hashed(stream, destination, max_bytes=max_bytes, durable=False)
            else:
                _make_plain(descriptor)
                digest, size = _hash(descriptor)
        if not confined:
            with explained(destination):
                moved.replace(destination)
    finally:
        remove_tree(moved)
    return Ingested(destination, digest, size)


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
        raise _refused(source, f"it cannot be taken ({error.strerror})") from None


def _open(moved: Path, source: Path, max_bytes: int) -> int:
    """Open what was moved. Its one name is ours now, so no other name of it can be about to vanish."""
    try:
        descriptor = os.open(moved, _OPEN_FLAGS)
    except OSError as error:
        raise _refused(source, f"it cannot be opened ({error.strerror})") from None
    facts = os.fstat(descriptor)
    why = None
    if not stat.S_ISREG(facts.st_mode):
        why = "it is not a regular file"
    elif facts.st_nlink != 1:
        why = "it has more than one name"
    elif facts.st_size > max_bytes:
        why = f"it is larger than {max_bytes} bytes"
    if why is not None:
        os.close(descriptor)
        raise _refused(source, why)
    return descriptor


def _make_plain(descriptor: int) -> None:
    """Take away what a worker may have set: a program's bits, or those that lock its owner out."""
    if sys.platform != "win32":
        os.fchmod(descriptor, (os.fstat(descriptor).st_mode & 0o666) | 0o600)


def _hash(descriptor: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := os.read(descriptor, 1 << 20):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def _refused(source: Path, why: str) -> ModelError:
    return ModelError(f"the worker's output {source.name} was refused: {why}", code="output_refused")
