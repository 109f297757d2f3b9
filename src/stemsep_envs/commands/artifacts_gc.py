"""`artifacts gc`: free files that nobody needs."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.artifacts import blobs, maintenance
from stemsep_envs.documents.artifacts import ArtifactCollectionReport, RemovedArtifact
from stemsep_envs.host.paths import find_home
from stemsep_envs.planning.artifact_uses import uses_by_hash


def collect_artifacts(
    *, registry_path: Path | None, unused: bool, max_age_seconds: float | None, dry_run: bool
) -> ArtifactCollectionReport:
    """Remove what is damaged, what nobody continues, and, where asked for, files that are not needed or long unused.

    Args:
        registry_path: The registry; None for the one in use.
        unused: Remove files that no model of the registry asks for.
        max_age_seconds: Remove files that were not used for so long; None: none.
        dry_run: Only say what would go.

    Raises:
        UsageError: The registry cannot be read, or something cannot be removed.
    """
    home = find_home()
    needed = uses_by_hash(home, registry_path).keys() if unused else None
    freed = list(maintenance.free(home, needed=needed, max_age_seconds=max_age_seconds, dry_run=dry_run))
    sizes = {sha256: blobs.blob_path(home, sha256).lstat().st_size for sha256 in blobs.stored_hashes(home)}
    gone = {item.name for item in freed}
    return ArtifactCollectionReport(
        dry_run=dry_run,
        removed=tuple(
            RemovedArtifact.model_validate(
                {"kind": item.kind, "name": item.name, "size_bytes": item.size_bytes, "why": item.why}
            )
            for item in freed
        ),
        freed_bytes=sum(item.size_bytes for item in freed),
        remaining_bytes=sum(size for sha256, size in sizes.items() if sha256 not in gone),
    )
