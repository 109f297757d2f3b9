"""Files that come from outside of an engine's source: beside the recipe, or artifacts that the caller has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine_source import ARTIFACT_PREFIX, ArchiveSource, GitSource, PatchStep, artifact_name
from stemsep_envs.errors import LimitError, MismatchError, Reason, UsageError

_MAX_PATCH_BYTES = 64 << 20


@dataclass(frozen=True)
class SuppliedFiles:
    """Where files from outside are.

    Attributes:
        runtime_dir: The recipe's folder.
        artifacts: Files by what a recipe calls them: the name after ``artifact:``, or an archive's address.
    """

    runtime_dir: Path
    artifacts: Mapping[str, Path]

    def path_of(self, name: str) -> Path | None:
        """Return where a file from outside is; None when it is not here."""
        if name.startswith(ARTIFACT_PREFIX) or "://" in name:
            path = self.artifacts.get(name.removeprefix(ARTIFACT_PREFIX))
        else:
            path = self.runtime_dir / name
        return path if path is not None and path.is_file() else None


def missing_files(
    source: GitSource | ArchiveSource,
    patches: Sequence[PatchStep],
    supplied: SuppliedFiles,
    *,
    awaited: Collection[str] = (),
) -> Iterator[Reason]:
    """Yield a reason for each file from outside that is not here, but for the artifacts that are awaited."""
    wanted: list[tuple[str, str | None, str]] = []
    if isinstance(source, ArchiveSource):
        wanted.append((source.archive, source.sha256, "engine.archive"))
    wanted += [
        (step.source, step.source_sha256, f"patches[{index}].source")
        for index, step in enumerate(patches)
        if step.source is not None
    ]
    for name, sha256, where in wanted:
        if not {name, artifact_name(name)} & set(awaited) and supplied.path_of(name) is None:
            yield _missing(name, sha256, where)


def read_patch_files(patches: Sequence[PatchStep], supplied: SuppliedFiles) -> dict[int, bytes]:
    """Return the files that steps bring, by the index of the step, each checked against its hash.

    Raises:
        LimitError: A file is larger than any patch.
        MismatchError: Files are not what the recipe says; all are listed.
        UsageError: A file cannot be read.
    """
    contents: dict[int, bytes] = {}
    wrong: list[str] = []
    for index, step in enumerate(patches):
        if step.source is None:
            continue
        contents[index] = _read(step.source, supplied)
        found = digest_of_bytes(contents[index])
        if found != step.source_sha256:
            wrong.append(f"  patches[{index}]: {step.source}: expected sha256 {step.source_sha256}, found {found}")
    if wrong:
        raise MismatchError(
            "\n".join(["files that patch the engine are not those that the recipe names:", *wrong]),
            hint="get the files that the recipe was written with, or look at them and correct source_sha256",
            code="patch_mismatch",
        )
    return contents


def open_failure(name: str, error: OSError | None) -> UsageError:
    """Return the error to raise for a file from outside that was here and cannot be read."""
    why = error.strerror if error is not None else "it is gone"
    return UsageError(f"cannot read {name}: {why}", hint="it is needed to make the engine", code="engine_file_missing")


def _read(name: str, supplied: SuppliedFiles) -> bytes:
    path = supplied.path_of(name)
    if path is None:
        raise open_failure(name, None)
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_PATCH_BYTES + 1)
    except OSError as error:
        raise open_failure(name, error) from error
    if len(content) > _MAX_PATCH_BYTES:
        raise LimitError(f"{name} is larger than a patch may be, which is {_MAX_PATCH_BYTES} bytes")
    return content


def _missing(name: str, sha256: str | None, where: str) -> Reason:
    if name.startswith(ARTIFACT_PREFIX):
        hint = "the model's registry entry must have an artifact of this name, and it must have been fetched"
    elif "://" in name:
        hint = "it has to be fetched first"
    else:
        hint = "the recipe's folder is not whole: install it again"
    known = f" (sha256 {sha256})" if sha256 else ""
    return Reason("engine_file_missing", f"{name}{known} is not here", hint=hint, path=where)
