"""Ingesting stems: from a worker's scratch folder, under names the host chose (`host.untrusted_files` says how)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.errors import ModelError
from stemsep_envs.host.untrusted_files import RefusedFileError, take


@dataclass(frozen=True)
class Ingested:
    """A finished stem, out of the worker's reach, and what it holds."""

    path: Path
    sha256: Sha256
    size_bytes: int


def ingest(
    source: Path,
    destination: Path,
    *,
    max_bytes: int,
    confined: bool,
    on_block: Callable[[int], None] | None = None,
) -> Ingested:
    """Move a worker's output to a folder of ours.

    Args:
        source: The file in the worker's scratch folder.
        destination: Its new path, in an existing folder that only the host writes, on the same file system.
        max_bytes: The largest size taken.
        confined: Whether the worker is held by a boundary. If so the content is copied, since the worker may keep the
            file open and go on writing; if not, nothing is gained by that.
        on_block: Called with the size of each block; may raise to stop.

    Raises:
        ModelError: Missing, not a regular file, linked from elsewhere, or too large.
        LimitError: The disk is full.
    """
    try:
        digest, size = take(source, destination, max_bytes=max_bytes, copied=confined, on_block=on_block)
    except RefusedFileError as why:
        raise ModelError(f"the worker's output {source.name} was refused: {why}", code="output_refused") from None
    return Ingested(destination, digest, size)
