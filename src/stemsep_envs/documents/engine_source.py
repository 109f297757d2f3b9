"""What a recipe says of its engine: where the source tree comes from, and how a variant changes it.

Everything is pinned: a source by its commit or hash, a patch by the hash of the file it was written for and of the file
it brings. A file that the model brings may be pinned by the model's own entry instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from stemsep_envs.documents.base import Document, refuse_at
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.fields import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from stemsep_envs.documents.safe_paths import FolderPath, path_problem, portability_problem

ARTIFACT_PREFIX = "artifact:"
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/]*)/?(?P<rest>.*)", re.DOTALL)
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_FEWEST_SPELLINGS = 2


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
    "replace": ("base_sha256", "source"),
    "add": ("source",),
    "substitute": ("find", "replace"),
    "diff": ("base_sha256", "source"),
}
_OPTIONAL: Mapping[PatchKind, tuple[str, ...]] = {
    "replace": ("source_sha256",),
    "add": ("source_sha256",),
    "substitute": ("base_sha256", "count"),
    "diff": ("source_sha256",),
}
Text = str | tuple[str, ...]


class PatchStep(Document):
    """One change to one engine file; refuses when the file is not the one it was written for."""

    kind: PatchKind
    path: str
    """The file in the engine's tree, in POSIX spelling."""
    base_sha256: Sha256 | None = None
    """What the file must be before this step. Not for ``add``, whose file must not be there; a ``substitute`` may leave
    it out in a file that an earlier step took from the model without naming its hash."""
    source: SuppliedName | None = None
    """For replace, add and diff: a file beside the recipe, or ``artifact:<name>`` of the model."""
    source_sha256: Sha256 | None = None
    """What that file must be. May be left out of an artifact's: then the hash that the model's entry gives, or that the
    file had when it was fetched, takes its place."""
    find: Text | None = None
    """For substitute: the exact text, which must be there exactly `count` times; of several, exactly one must be."""
    replace: str | None = None
    count: Annotated[int, Field(ge=1)] = 1

    @property
    def artifact(self) -> str | None:
        """What the step calls the model's file that it brings; None when it brings none of the model's."""
        return artifact_name(self.source) if self.source is not None else None

    @property
    def spellings(self) -> tuple[str, ...]:
        """The texts of which a substitute finds exactly one."""
        return (self.find,) if isinstance(self.find, str) else self.find or ()

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> PatchStep:
        refuse_at(self._problems())
        return self

    def _problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
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
        if self.kind == "substitute":
            yield from self._problems_of_substitute()
        elif self.source_sha256 is None and self.artifact is None:
            yield ("source_sha256",), f"required by {self.kind}, but missing"
        if self.kind == "replace" and self.base_sha256 and self.base_sha256 == self.source_sha256:
            yield ("source_sha256",), "is the same as base_sha256, and would change nothing"

    def _problems_of_substitute(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if self.find is not None and not all(self.spellings):
            yield ("find",), "must not be empty"
        elif isinstance(self.find, str):
            if self.find == self.replace:
                yield ("replace",), "is the same as what is found, and would change nothing"
        elif self.find is not None:
            texts = self.spellings
            if len(texts) < _FEWEST_SPELLINGS:
                yield ("find",), "of several texts there must be at least two"
            for index, text in enumerate(texts):
                if any(text in other for at, other in enumerate(texts) if at != index):
                    yield ("find", index), "is part of another text, so that it is not clear which is meant"


def artifact_name(source: str) -> str | None:
    """Return what comes after ``artifact:``; None for a file that is no artifact's."""
    return source.removeprefix(ARTIFACT_PREFIX) if source.startswith(ARTIFACT_PREFIX) else None


def artifacts_of(source: GitSource | ArchiveSource, patches: Sequence[PatchStep]) -> tuple[str, ...]:
    """Return what an engine calls the files that the model brings, each once."""
    named = (artifact_name(source.archive) if isinstance(source, ArchiveSource) else None,)
    return tuple(dict.fromkeys(name for name in (*named, *(step.artifact for step in patches)) if name is not None))


def with_hashes(patches: Sequence[PatchStep], hashes: Mapping[str, str]) -> tuple[PatchStep, ...]:
    """Return the steps with the hashes of the model's files put in where they name none.

    Args:
        patches: The steps of a variant.
        hashes: By what the steps call a file of the model, its hash, as far as it is known.
    """
    return tuple(
        step.model_copy(update={"source_sha256": hashes.get(step.artifact)})
        if step.source_sha256 is None and step.artifact is not None
        else step
        for step in patches
    )


def is_pinned(patches: Sequence[PatchStep]) -> bool:
    """Say whether it is known what every step brings, so that an engine made with them has a name."""
    return all(step.source is None or step.source_sha256 is not None for step in patches)


def _each_has_a_base(patches: tuple[PatchStep, ...]) -> tuple[PatchStep, ...]:
    refuse_at(_baseless(patches))
    return patches


def _baseless(patches: Sequence[PatchStep]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the steps that do not say what they start from, although the recipe can know."""
    open_paths: set[str] = set()
    for index, step in enumerate(patches):
        if step.kind in {"replace", "add"} and step.source_sha256 is None:
            open_paths.add(step.path)
        elif step.kind != "substitute" or step.base_sha256 is not None:
            open_paths.discard(step.path)
        elif step.path not in open_paths:
            words = "required by substitute, but missing: no step before takes this file from the model"
            yield (index, "base_sha256"), words


Patches = Annotated[tuple[PatchStep, ...], AfterValidator(_each_has_a_base)]
"""The steps of a variant, in the order in which they are applied."""
