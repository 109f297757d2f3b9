"""What a recipe says of its engine: where the source tree comes from, and how a variant changes it.

Everything is pinned: a source by its commit or hash, a patch by the hash of the file it was written for and of the file
it brings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from stemsep_envs.documents.base import Document, refuse_at
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.safe_paths import FolderPath, path_problem, portability_problem

ARTIFACT_PREFIX = "artifact:"
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/]*)/?(?P<rest>.*)", re.DOTALL)
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def _address(text: str, schemes: tuple[str, ...]) -> str:
    """Check an address: one of the schemes, no blanks, no secrets, nothing that a program would take for an option."""
    match = _ADDRESS.fullmatch(text)
    if match is None or match["scheme"] not in schemes:
        raise ValueError(f"must be an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if _BLANK_OR_CONTROL.search(text):
        raise ValueError("must not hold blanks or control characters; write a blank as %20")
    if match["authority"].startswith("-"):
        raise ValueError("must not have a host that begins with -")
    user, at, _ = match["authority"].rpartition("@")
    if at and (match["scheme"] != "ssh" or ":" in user):
        raise ValueError("must not hold a user or a password; git's credential helpers keep those")
    return text


def _repository(text: str) -> str:
    return _address(text, ("https", "ssh", "file"))


def _supplied(text: str) -> str:
    """Check the name of a file that comes from outside the engine: of the model's artifacts, or beside the recipe."""
    if text.startswith(ARTIFACT_PREFIX):
        if not _ARTIFACT_NAME.fullmatch(text.removeprefix(ARTIFACT_PREFIX)):
            raise ValueError(f"must name an artifact after {ARTIFACT_PREFIX}")
        return text
    problem = path_problem(text) or portability_problem(text)
    if problem is not None:
        raise ValueError(f"{problem}; it is a file beside the recipe, or {ARTIFACT_PREFIX}<name>")
    return text


def _archive(text: str) -> str:
    return _address(text, ("https", "file")) if "://" in text else _supplied(text)


SuppliedName = Annotated[str, AfterValidator(_supplied)]
"""A file beside the recipe, or ``artifact:<name>`` of the model."""


class GitSource(Document):
    """An engine's source: a commit of a git repository. The address obeys git's own configuration (``insteadOf``)."""

    repository: Annotated[str, AfterValidator(_repository)]
    """``https://``, ``ssh://`` or ``file://``; a mirror of it may be reached by other ways."""
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    package_dir: FolderPath = "."
    """The folder of the tree that the adapter imports from."""


class ArchiveSource(Document):
    """An engine's source: a tar or zip file with its hash."""

    archive: Annotated[str, AfterValidator(_archive)]
    """An address, a file beside the recipe, or ``artifact:<name>`` of the model."""
    sha256: Sha256
    root: FolderPath = "."
    """The folder of the archive that is the engine's tree; what lies beside it is left out."""
    package_dir: FolderPath = "."
    """The folder of the tree that the adapter imports from."""


def _by_its_fields(value: Any) -> Any:
    """Read the kind of source whose field is there, so that problems are told of that kind alone."""
    if isinstance(value, GitSource | ArchiveSource):
        return value
    of_archive = isinstance(value, Mapping) and "archive" in value
    return (ArchiveSource if of_archive else GitSource).model_validate(value)


EngineSource = Annotated[GitSource | ArchiveSource, BeforeValidator(_by_its_fields)]
"""Where an engine's source tree comes from."""

PatchKind = Literal["replace", "add", "substitute", "diff"]

_REQUIRED: Mapping[PatchKind, tuple[str, ...]] = {
    "replace": ("base_sha256", "source", "source_sha256"),
    "add": ("source", "source_sha256"),
    "substitute": ("base_sha256", "find", "replace"),
    "diff": ("base_sha256", "source", "source_sha256"),
}
_OPTIONAL: Mapping[PatchKind, tuple[str, ...]] = {"replace": (), "add": (), "substitute": ("count",), "diff": ()}


class PatchStep(Document):
    """One change to one engine file; refuses when the file is not the one it was written for."""

    kind: PatchKind
    path: str
    """The file in the engine's tree, in POSIX spelling."""
    base_sha256: Sha256 | None = None
    """What the file must be before this step. Not for ``add``, whose file must not be there."""
    source: SuppliedName | None = None
    """For replace, add and diff: a file beside the recipe, or ``artifact:<name>`` of the model."""
    source_sha256: Sha256 | None = None
    find: str | None = None
    """For substitute: the exact text, which must be there exactly `count` times."""
    replace: str | None = None
    count: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> PatchStep:
        refuse_at(self._problems())
        return self

    def _problems(self) -> Iterator[tuple[tuple[str, ...], str]]:
        words = path_problem(self.path) or portability_problem(self.path)
        if words is not None:
            yield ("path",), words
        required, allowed = _REQUIRED[self.kind], {"kind", "path", *_REQUIRED[self.kind], *_OPTIONAL[self.kind]}
        for field in required:
            if getattr(self, field) is None:
                yield (field,), f"required by {self.kind}, but missing"
        for field in sorted(self.model_fields_set - allowed):
            if getattr(self, field) is not None:
                yield (field,), f"has no meaning for {self.kind}"
        if self.kind == "substitute" and self.find == "":
            yield ("find",), "must not be empty"
        if self.kind == "substitute" and self.find and self.find == self.replace:
            yield ("replace",), "is the same as what is found, and would change nothing"
        if self.kind == "replace" and self.base_sha256 and self.base_sha256 == self.source_sha256:
            yield ("source_sha256",), "is the same as base_sha256, and would change nothing"
