"""``manifest.json``: every file of an environment that no distribution's RECORD vouches for.

RECORDs name the files of a distribution with their hashes; a RECORD itself, what the builder and the health check made,
and what a wheel holds without (or against) its RECORD stand here. The receipt holds the digest of the manifest, the
manifest those of the RECORDs, and the RECORDs those of all other files: nothing in an environment is left open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.fields import Field, StringConstraints

Mode = Annotated[str, StringConstraints(pattern=r"^[0-7]{4}$")]
"""Permission bits in octal: ``0644``."""

Count = Annotated[int, Field(ge=0)]


class SealedFile(Document):
    """A file as it was when the environment was published. Paths are relative to the environment, with slashes."""

    path: str
    size_bytes: Count
    sha256: Sha256


class SealedLink(Document):
    """A symbolic link, and what it says."""

    path: str
    target: str


class Deviation(Document):
    """Where an installed file is not what its RECORD says."""

    path: str
    kind: Literal["changed", "missing", "extra"]
    sha256: Sha256 | None
    """What was found; null where nothing was."""
    distribution: str | None
    """Whose RECORD it is; null for a file that none names."""


class Manifest(Document):
    """The whole of it."""

    schema_version: Literal[1] = 1
    files: tuple[SealedFile, ...]
    """What stands here counts, whatever a RECORD says of the same path."""
    links: tuple[SealedLink, ...]
    common_mode: Mode | None
    """The permissions of every file that ``modes`` does not name; null where the system has none."""
    modes: Mapping[str, Mode]
    deviations: tuple[Deviation, ...] = ()
    """Where wheels contradict their own RECORD: fetched twice, with the hash that is locked, and the same each time."""


class WheelMemory(Document):
    """What installed wheels held, on this machine: what an installation from a cache is compared with."""

    schema_version: Literal[1] = 1
    contents: Mapping[str, Sha256]
    """For a pin of a lock on a target and interpreter (the digest of these): the digest of what was installed."""
    deviations: tuple[Deviation, ...]
