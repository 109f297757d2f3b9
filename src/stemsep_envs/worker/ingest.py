"""Taking finished stems from a worker's scratch folder: by descriptor, under names the host chose.

The folder belongs to an untrusted process, so a name in it, and the folder itself, may be a link, a pipe or a device by
the time it is opened. Only a regular file with a single name is taken, up to a size.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.errors import ModelError
from stemsep_envs.host.files import blocks_of, copy_hashed, explained, remove_tree

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
        destination: Its new path, in an existing folder that only the host writes.
        max_bytes: The largest size taken.
        confined: Whether the worker is held by a boundary. If so the content is copied, since the worker may keep the
            file open and go on writing; if not, nothing is gained by that and the file is renamed where it can be.

    Raises:
        ModelError: Missing, not a regular file, linked from elsewhere, too large, or changed meanwhile.
        LimitError: The disk is full.
    """
    try:
        descriptor = _open(source)
    except OSError as error:
        raise _refused(source, f"it cannot be opened ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise _refused(source, "it is not a regular file")
        if facts.st_nlink != 1:
            raise _refused(source, "it has more than one name")
        if facts.st_size > max_bytes:
            raise _refused(source, f"it is larger than {max_bytes} bytes")
        if not confined and _renamed(source, destination, stream):
            digest, size = _hashed(stream)
        else:
            digest, size = copy_hashed(stream, destination, max_bytes=max_bytes, durable=False)
    return Ingested(destination, digest, size)


def _open(source: Path) -> int:
    if sys.platform == "win32":
        return os.open(source, _OPEN_FLAGS)
    folder = os.open(source.parent, os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS)
    try:
        return os.open(source.name, _OPEN_FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _renamed(source: Path, destination: Path, stream: BufferedReader) -> bool:
    """Rename the open file into place; False where that cannot be, on another file system or on Windows while open."""
    try:
        if sys.platform == "win32":
            return False
        with explained(destination):
            try:
                source.rename(destination)
            except FileNotFoundError:
                raise _refused(source, "it vanished while it was being taken") from None
            except OSError as error:
                if error.errno == errno.EXDEV:
                    return False
                raise
        ours, there = os.fstat(stream.fileno()), destination.lstat()
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise _refused(source, "it was replaced while it was being taken")
        os.fchmod(stream.fileno(), (stat.S_IMODE(ours.st_mode) & 0o666) | 0o600)
    except BaseException:
        remove_tree(destination)
        raise
    return True


def _hashed(stream: BufferedReader) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for block in blocks_of(stream):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def _refused(source: Path, why: str) -> ModelError:
    return ModelError(f"the worker's output {source.name} was refused: {why}", code="output_refused")
