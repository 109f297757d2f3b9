"""Taking finished stems from a worker's scratch folder: by descriptor, under names the host chose.

The folder belongs to an untrusted process, so a name in it may be a link, a pipe or a device by the time it is opened.
Only a regular file with a single name is taken, up to a size.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.errors import ModelError
from stemsep_envs.host.files import copy_hashed, publish, sha256_of

_OPEN_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # as far as the platform has them
    _OPEN_FLAGS |= getattr(os, _name, 0)


@dataclass(frozen=True)
class Ingested:
    """A finished stem, out of the worker's reach, and what it holds."""

    path: Path
    sha256: Sha256
    size_bytes: int


def ingest(source: Path, destination: Path, *, max_bytes: int, confined: bool) -> Ingested:
    """Move a worker's output to a folder of ours.

    Args:
        source: The file in the worker's scratch folder.
        destination: Its new path, in a folder that only the host writes.
        max_bytes: The largest size taken.
        confined: Whether the worker is held by a boundary. If so the content is copied, since the worker may keep the
            file open and go on writing; if not, nothing is gained by that and the file is renamed.

    Raises:
        ModelError: Missing, not a regular file, linked from elsewhere, or too large.
        LimitError: The disk is full.
    """
    try:
        descriptor = os.open(source, _OPEN_FLAGS)
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
        if confined:
            digest, size = copy_hashed(stream, destination, max_bytes=max_bytes)
            return Ingested(destination, digest, size)
    publish(source, destination)
    digest, size = sha256_of(destination)
    return Ingested(destination, digest, size)


def _refused(source: Path, why: str) -> ModelError:
    return ModelError(f"the worker's output {source.name} was refused: {why}", code="output_refused")
