"""`artifacts list`: the files of this home and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stemsep_envs.artifacts import blobs, index, maintenance
from stemsep_envs.documents.artifacts import ArtifactListing, ArtifactUse, IndexEntry, ListedArtifact
from stemsep_envs.documents.timestamps import utc_text
from stemsep_envs.host.paths import Home, find_home
from stemsep_envs.planning.artifact_uses import uses_by_hash


def list_artifacts(registry_path: Path | None) -> ArtifactListing:
    """List the files of the home and what is known of them, last used first.

    Raises:
        UsageError: The registry cannot be read.
    """
    home = find_home()
    entries: dict[str, list[IndexEntry]] = {}
    for entry in index.every_entry(home):
        entries.setdefault(entry.sha256, []).append(entry)
    here = set(blobs.stored_hashes(home))
    uses = uses_by_hash(home, registry_path)
    listed = [
        _listed(home, sha256, entries.get(sha256, ()), uses.get(sha256, ())) for sha256 in sorted(here | entries.keys())
    ]
    listed.sort(key=lambda item: item.last_used or "", reverse=True)
    return ArtifactListing(
        home=str(home.root),
        artifacts=tuple(listed),
        total_bytes=sum(item.size_bytes for item in listed if item.state == "here"),
        converted_bytes=maintenance.converted_bytes(home),
        unfinished_bytes=sum(path.stat().st_size for path in maintenance.unfinished(home)),
    )


def _listed(home: Home, sha256: str, origins: Sequence[IndexEntry], uses: Sequence[ArtifactUse]) -> ListedArtifact:
    path = blobs.blob_path(home, sha256)
    try:
        size, here = path.lstat().st_size, True
    except OSError:
        size, here = (origins[0].size_bytes if origins else 0), False
    return ListedArtifact(
        sha256=sha256,
        path=str(path),
        size_bytes=size,
        state="here" if here else "gone",
        used_by=tuple(uses),
        origins=tuple(origins),
        last_used=utc_text(blobs.last_used_at(home, sha256)),
    )
