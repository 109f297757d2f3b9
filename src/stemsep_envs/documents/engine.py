"""Engines as documents: the inputs that name a patched source tree, and the receipt that says one is whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256, digest_of
from stemsep_envs.documents.engine_source import ArchiveSource, GitSource, PatchKind, PatchStep, Text, is_pinned
from stemsep_envs.documents.fields import Field, StringConstraints, model_validator
from stemsep_envs.documents.safe_paths import FolderPath

LAYOUT = 1
"""The arrangement of an engine's folder, and how a source becomes a tree; raised when either changes."""


class GitInput(Document):
    """The commit alone: the same commit is the same tree wherever it was fetched from."""

    kind: Literal["git"] = "git"
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class ArchiveInput(Document):
    """The archive's bytes and the part of them that is used."""

    kind: Literal["archive"] = "archive"
    sha256: Sha256
    root: FolderPath


class PatchInput(Document):
    """A patch by its content; what the file that brings it is called does not matter."""

    kind: PatchKind
    path: str
    base_sha256: Sha256 | None
    source_sha256: Sha256 | None
    find: Text | None
    replace: str | None
    count: int | None


class EngineInputs(Document):
    """All that goes in. Equal inputs are one tree, on any machine."""

    layout: int = LAYOUT
    source: Annotated[GitInput | ArchiveInput, Field(discriminator="kind")]
    patches: tuple[PatchInput, ...]
    """Sorted by path; steps on one file in the order in which they are applied."""

    @cached_property
    def digest(self) -> str:
        """The name of the engine."""
        return digest_of(self)


def engine_inputs(source: GitSource | ArchiveSource, patches: Sequence[PatchStep]) -> EngineInputs:
    """Return what names the engine of a source with patches. Needs neither network nor files.

    Raises:
        ValueError: It is not known what a step brings (`is_pinned`).
    """
    if not is_pinned(patches):
        raise ValueError("an engine has no name before the hashes of all files that it takes are known")
    origin: GitInput | ArchiveInput
    if isinstance(source, GitSource):
        origin = GitInput(commit=source.commit)
    else:
        origin = ArchiveInput(sha256=source.sha256, root=source.root)
    steps = [
        PatchInput(
            kind=step.kind,
            path=step.path,
            base_sha256=step.base_sha256,
            source_sha256=step.source_sha256,
            find=step.find,
            replace=step.replace,
            count=step.count if step.kind == "substitute" else None,
        )
        for step in patches
    ]
    return EngineInputs(source=origin, patches=tuple(sorted(steps, key=lambda step: step.path)))


class EngineFile(Document):
    """One file of a tree: a plain one, or a symbolic link."""

    path: str
    sha256: Sha256
    """Of the content; of a link, of where it leads."""
    size_bytes: int
    executable: bool = False
    link: str | None = None
    """Where a link leads, as written in it."""


class EngineFiles(Document):
    """``files.json``: every file of the tree, by path."""

    files: tuple[EngineFile, ...]

    @cached_property
    def digest(self) -> str:
        """The hash of the tree."""
        return digest_of(self)


class EngineReceipt(Document):
    """``engine.json``: written last, so that an engine with one is whole."""

    schema_version: Literal[1] = 1
    digest: Sha256
    inputs: EngineInputs
    origin: str
    """Where the source was said to be; a mirror may have given it."""
    tree: Sha256
    """The hash over every file, which is the digest of ``files.json``."""
    files: int
    bytes: int
    created_at: str
    """UTC, ISO 8601."""
    created_by: str
    """This program and its version."""

    @model_validator(mode="after")
    def _digest_is_of_inputs(self) -> EngineReceipt:
        if self.digest != self.inputs.digest:
            raise ValueError(f"the digest is not that of the inputs, which is {self.inputs.digest}")
        return self
