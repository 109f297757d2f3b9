"""Digests of the code that shapes stems beside the engine: what of `inside/` a worker loads, and the adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.paths import INSIDE_DIR
from stemsep_envs.registry.recipes import Runtime

_OTHER_PROGRAMS = frozenset({"build_backend.py", "convert.py", "probe.py"})
"""Programs in `inside/` that no worker loads: a change there makes no stem another."""


@dataclass(frozen=True)
class CodeDigests:
    """SHA-256 of the code that a worker loads from us.

    Attributes:
        worker: Of the half of a worker that is the same in every environment.
        adapter: Of the runtime's adapter.
    """

    worker: str
    adapter: str


def code_digests(runtime: Runtime) -> CodeDigests:
    """Return the digests of the code that a worker of a runtime loads, as it is on the disk now."""
    return CodeDigests(
        worker=code_digest(INSIDE_DIR, without=_OTHER_PROGRAMS), adapter=code_digest(runtime.adapter_path)
    )


def code_digest(folder_or_file: Path, *, without: frozenset[str] = frozenset()) -> str:
    """Return the digest of a Python file, or of all Python files below a folder with their names.

    Args:
        folder_or_file: The code.
        without: Paths below the folder, with slashes, that do not count.
    """
    if folder_or_file.is_file():
        return sha256_of(folder_or_file)[0]
    files = {path.relative_to(folder_or_file).as_posix(): path for path in sorted(folder_or_file.rglob("*.py"))}
    return digest_of({name: sha256_of(path)[0] for name, path in files.items() if name not in without})
