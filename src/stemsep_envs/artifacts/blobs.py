"""Blobs by hash: ``artifacts/sha256/aa/<hash>``."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.host.paths import Home


def blob_path(home: Home, sha256: str) -> Path:
    """Return where the file with this hash lies, whether it is there or not."""
    return home.artifacts_dir / "sha256" / sha256[:2] / sha256


def has_blob(home: Home, sha256: str, size_bytes: int | None) -> bool:
    """Say whether the file with this hash is here and whole, as far as its size tells."""
    try:
        found = blob_path(home, sha256).stat().st_size
    except OSError:
        return False
    return size_bytes is None or found == size_bytes
