"""What is kept and told of artifacts: the index from addresses to hashes, and the reports of ``artifacts``."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256

Trust = Literal["registry", "first-use", "added"]
"""How a hash is known: the registry says it, it is of what came at first, or the user put the file in."""


class IndexEntry(Document):
    """What an address stands for, from the moment its file was first here: the index keeps one small file for each.

    Attributes:
        url: The address, in its one spelling and without passwords; ``model:ID#NAME`` for a file without an address.
        sha256: What it gave, and must give from now on.
        size_bytes: How large that is.
        trust: How the hash is known.
        source: Where the bytes came from: the address itself, a mirror of it, or a file of the user's.
        filename: What the file is called there.
        recorded_at: When.
    """

    schema_version: Literal[1] = 1
    url: str
    sha256: Sha256
    size_bytes: int
    trust: Trust
    source: str
    filename: str | None = None
    recorded_at: str


class ArtifactUse(Document):
    """A file of a model that an artifact is."""

    model_id: str
    name: str
    filename: str


class ListedArtifact(Document):
    """A file of the home."""

    sha256: str
    path: str
    size_bytes: int
    state: Literal["here", "gone"]
    """``gone``: it was here and is known by its hash, but its bytes were removed."""
    used_by: tuple[ArtifactUse, ...]
    """Files of the registry's models that are this one."""
    origins: tuple[IndexEntry, ...]
    last_used: str | None


class ArtifactListing(Document):
    """All files of the home, last used first."""

    schema_version: Literal[1] = 1
    home: str
    artifacts: tuple[ListedArtifact, ...]
    total_bytes: int
    converted_bytes: int
    """What safetensors forms of checkpoints take beside."""
    unfinished_bytes: int
    """What downloads that were begun and not ended take; they are continued when they are asked for again."""


class AddedArtifact(Document):
    """A file that was put in by hand."""

    schema_version: Literal[1] = 1
    sha256: Sha256
    size_bytes: int
    path: str
    url: str
    trust: Trust
    used_by: tuple[ArtifactUse, ...]
    replaced_sha256: str | None = None
    """What the address stood for before, where that was something else."""


class VerifiedArtifact(Document):
    """A file that was read and compared with its hash: an artifact, or the converted form of a checkpoint."""

    kind: Literal["artifact", "converted"]
    sha256: str
    """Of the artifact; for a converted form, of the checkpoint it was made from."""
    ok: bool
    size_bytes: int
    detail: str
    set_aside: str | None = None
    """Where a damaged file was moved to."""


class ArtifactVerifyReport(Document):
    """All files that were looked at."""

    schema_version: Literal[1] = 1
    ok: bool
    artifacts: tuple[VerifiedArtifact, ...]
    bytes_read: int


class RemovedArtifact(Document):
    """A file that was removed, or would be."""

    kind: Literal["artifact", "converted", "unfinished", "damaged"]
    name: str
    size_bytes: int
    why: str


class ArtifactCollectionReport(Document):
    """What was removed, or with ``dry_run`` would be."""

    schema_version: Literal[1] = 1
    dry_run: bool
    removed: tuple[RemovedArtifact, ...]
    freed_bytes: int
    remaining_bytes: int
