"""Reading an input through on the host, while its worker reads it too: its digest, and whether it stayed the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import UsageError
from stemsep_envs.host.file_reading import sha256_of


@dataclass(frozen=True)
class Read:
    """An input read through: its digest and size, and whether it stayed the same meanwhile."""

    sha256: str
    size_bytes: int
    changed: bool


def read_through(source: Path, check: Callable[[], None] | None = None) -> Read:
    """Read an input to its end.

    Args:
        source: The input.
        check: Called after every block; may raise to stop.

    Raises:
        UsageError: It is not there, or cannot be read.
    """
    try:
        before = source.stat()
        sha256, size_bytes = sha256_of(source, check=check)
        after = source.stat()
    except OSError as error:
        code = "input_missing" if isinstance(error, FileNotFoundError) else "input_unreadable"
        raise UsageError(f"cannot read {source}: {error.strerror}", hint="check the path", code=code) from None
    changed = (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)
    return Read(sha256, size_bytes, changed)
