"""The engine of a model: the source tree that its runtime's recipe names, patched as its variant says.

Patches may take files that the model brings. What such a file must be is said by the recipe or by the model's own
entry; where nobody knows it before the file is fetched, the engine has no name until then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.artifacts.blobs import blob_path
from stemsep_envs.artifacts.model_files import ToFetch, Wanted
from stemsep_envs.documents.addresses import parse_address
from stemsep_envs.documents.engine_source import (
    ArchiveSource,
    EngineSource,
    PatchStep,
    artifact_name,
    artifacts_of,
    is_pinned,
    with_hashes,
)
from stemsep_envs.errors import Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.registry.recipes import Runtime

# Most runtimes have no engine of their own: what makes one is loaded by the functions that need it.


@dataclass(frozen=True)
class ModelFile:
    """A file of the model, as its registry entry has it.

    Attributes:
        name: ``primary``, ``config``, ``additional[0]``.
        filename: What the entry calls the file.
        kind: What it is: ``weights``, ``config``, ``patch``.
        sha256: What it must be: as the entry says, or as it was found; None while nobody knows.
        path: Where it is; None while it is not here.
    """

    name: str
    filename: str
    kind: str
    sha256: str | None
    path: Path | None


def find_file(wanted: str, files: Sequence[ModelFile]) -> tuple[ModelFile | None, str]:
    """Return the file that a recipe calls ``artifact:<wanted>``; or none, and in words why.

    First by its name in the entry, then by its file name, then by its kind, which must be that of one file alone.
    """
    for described, matching in (
        ("name", [file for file in files if file.name == wanted]),
        ("file name", [file for file in files if file.filename == wanted]),
        ("kind", [file for file in files if file.kind == wanted]),
    ):
        if len(matching) == 1:
            return matching[0], ""
        if matching:
            found = ", ".join(f"{file.name} ({file.filename})" for file in matching)
            return None, f"artifact:{wanted} names several files of the model by their {described}: {found}"
    found = ", ".join(f"{file.name} ({file.filename}, {file.kind})" for file in files) or "no file at all"
    return None, f"the model has no artifact of the name, file name or kind {wanted!r}; it has {found}"


@dataclass(frozen=True)
class PlannedEngine:
    """What an engine is made of.

    Attributes:
        digest: Its name; None while it is not known what the model's files are, of which patches take some.
        source: Where the stock tree comes from.
        patches: What is changed in it, in order, with the hash of what each step brings as far as it is known.
        runtime_dir: Where the recipe's patch files are.
        files: The model's files that the engine takes, by what the recipe calls them.
        title: What to call it: ``msst hyperace_v2``.
        problems: Why it cannot be made of this model's files.
    """

    digest: str | None
    source: EngineSource
    patches: tuple[PatchStep, ...]
    runtime_dir: Path
    files: Mapping[str, ModelFile]
    title: str
    problems: tuple[Reason, ...] = ()

    @property
    def artifacts(self) -> dict[str, Path]:
        """Those of the model's files that are here."""
        return {name: file.path for name, file in self.files.items() if file.path is not None}

    @property
    def known_digest(self) -> str:
        """The engine's name.

        Raises:
            ValueError: It is not known yet: a plan that can be carried out was made with all files here.
        """
        if self.digest is None:
            raise ValueError(f"{self.title} has no name before the model's files are here")
        return self.digest

    @property
    def _archive_name(self) -> str:
        return self.source.archive if isinstance(self.source, ArchiveSource) else ""

    def archive_to_fetch(self, home: Home, *, offline: bool) -> ToFetch | None:
        """Return the archive that the engine is made of, where it has an address and has to be fetched from there."""
        source = self.source
        if not isinstance(source, ArchiveSource) or "://" not in source.archive:
            return None
        from stemsep_envs.environments.engines import engine_store  # noqa: PLC0415

        if self.digest is not None and engine_store.problem_with(home, self.digest) is None:
            return None
        address = parse_address(source.archive)
        if blob_path(home, source.sha256).is_file() or (offline and address.is_remote):
            return None
        filename = source.archive.rpartition("/")[2]
        wanted = Wanted(self.title, "engine", "engine", filename, source.sha256, None, (address,))
        return ToFetch(wanted, (address,))

    def supplied(self, home: Home) -> dict[str, Path]:
        """Return all files from outside that are here: the model's, and the archive of an address."""
        source = self.source
        if not isinstance(source, ArchiveSource) or "://" not in source.archive:
            return self.artifacts
        path = blob_path(home, source.sha256)
        return {**self.artifacts, source.archive: path} if path.is_file() else self.artifacts

    def reasons(self, home: Home, *, offline: bool) -> tuple[Reason, ...]:
        """Say everything that is missing to make it, but for the model's files, which are answered for elsewhere."""
        from stemsep_envs.environments.engines.reuse_or_patch import engine_reasons  # noqa: PLC0415

        if self.problems:
            return self.problems
        return engine_reasons(
            self.source,
            self.patches,
            home=home,
            runtime_dir=self.runtime_dir,
            artifacts=self.supplied(home),
            offline=offline,
            awaited=(*self.files, *([self._archive_name] if self.archive_to_fetch(home, offline=offline) else ())),
        )

    def recipe_files(self) -> tuple[Path, ...]:
        """Return the files beside the recipe that the patches take."""
        named = [step.source for step in self.patches if step.source is not None and step.artifact is None]
        return tuple(self.runtime_dir / name for name in named)

    def tree_dir(self, home: Home) -> Path:
        """Return where the tree lies once it is made."""
        from stemsep_envs.environments.engines import engine_store  # noqa: PLC0415

        return engine_store.tree_dir(home, self.known_digest)

    def is_whole(self, home: Home) -> bool:
        """Say whether the tree is here as it was made."""
        from stemsep_envs.environments.engines import engine_store  # noqa: PLC0415

        return self.digest is not None and engine_store.problem_with(home, self.digest) is None

    def receipt_path(self, home: Home) -> Path:
        """Return the file that says that the tree is whole."""
        from stemsep_envs.environments.engines import engine_store  # noqa: PLC0415

        return engine_store.engine_dir(home, self.known_digest) / engine_store.RECEIPT

    def import_dir(self, home: Home) -> Path:
        """Return the folder of the tree that the adapter imports from."""
        return self.tree_dir(home) / self.source.package_dir

    def state_of(self, name: str, home: Home) -> bool | None:
        """Say whether the tree has a file, or None while the tree is not here."""
        from stemsep_envs.environments.engines import engine_store  # noqa: PLC0415

        if any(step.path == name for step in self.patches):
            return True
        if self.digest is None or engine_store.problem_with(home, self.digest) is not None:
            return None
        return (self.tree_dir(home) / name).is_file()


def planned_engine(runtime: Runtime, variant: str | None, files: Sequence[ModelFile]) -> PlannedEngine | None:
    """Return the engine of a runtime with one of its variants, or None when the runtime has none of its own.

    Args:
        runtime: The runtime.
        variant: One of its variants.
        files: All files of the model.
    """
    source = runtime.recipe.engine
    if source is None:
        return None
    from stemsep_envs.environments.engines.reuse_or_patch import engine_digest  # noqa: PLC0415

    stated = runtime.recipe.variants[variant].patches if variant else ()
    title = " ".join(filter(None, (runtime.recipe.id, variant)))
    found = {wanted: find_file(wanted, files) for wanted in artifacts_of(source, stated)}
    taken = {wanted: file for wanted, (file, _) in found.items() if file is not None}
    patches = with_hashes(stated, {wanted: file.sha256 for wanted, file in taken.items() if file.sha256 is not None})
    problems = [
        Reason("engine_file_missing", f"{title}: {words}", hint="correct the entry's artifacts", path="artifacts")
        for file, words in found.values()
        if file is None
    ]
    problems += _contradictions(source, stated, taken, title)
    digest = engine_digest(source, patches) if is_pinned(patches) else None
    return PlannedEngine(digest, source, patches, runtime.dir, taken, title, tuple(problems))


def _contradictions(
    source: EngineSource, patches: Sequence[PatchStep], files: Mapping[str, ModelFile], title: str
) -> Iterator[Reason]:
    """Yield where the recipe wants another file than the one that the model's entry has."""
    wanted = [(step.artifact, step.source_sha256) for step in patches]
    if isinstance(source, ArchiveSource):
        wanted += [(artifact_name(source.archive), source.sha256)]
    for name, sha256 in dict.fromkeys(wanted):
        file = files.get(name or "")
        if file is None or None in {sha256, file.sha256} or sha256 == file.sha256:
            continue
        words = f"{title} is for another {file.filename}: expected sha256 {sha256}, the model's has {file.sha256}"
        hint = "choose the variant that was written for this file"
        yield Reason("patch_mismatch", words, hint=hint, path=f"artifacts.{file.name}")
