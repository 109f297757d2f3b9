"""Blobs by hash: ``artifacts/sha256/aa/<hash>``."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.host.files import sha256_of
from stemsep_envs.host.paths import Home


def blob_path(home: Home, sha256: str) -> Path:
    """Return where the file with this hash lies, whether it is there or not."""
    return home.artifacts_dir / "sha256" / sha256[:2] / sha256


def has_blob(home: Home, sha256: str) -> bool:
    """Say whether the file with this hash is here and whole. All of it is read: people put files in by hand."""
    try:
        return sha256_of(blob_path(home, sha256))[0] == sha256
    except OSError:
        return False
