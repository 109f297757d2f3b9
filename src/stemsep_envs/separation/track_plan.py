"""What is to become of each track of a request, decided before anything is built or started.

One recipe for the command line and the Python interface: list the inputs, choose the stems, plan every name, put right
what a killed run left, and decide for each track whether it is separated, skipped or refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunInput, RunTrack
from stemsep_envs.errors import StemsepEnvError, UsageError
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.planning.plan import Plan
from stemsep_envs.separation.code_digests import code_digests
from stemsep_envs.separation.inputs import InputTrack, collect_inputs
from stemsep_envs.separation.output_names import TrackNames, comparison_key, plan_names
from stemsep_envs.separation.output_options import OutputPlan
from stemsep_envs.separation.run_records import answering_track, settings_digest
from stemsep_envs.separation.scratch import clear_folder

_MOST_RENAMES = 10_000


@dataclass(frozen=True)
class PlannedTrack:
    """One input, the names of its outputs, and what is settled already.

    Attributes:
        input: The input.
        names: Where its stems and its record go, below the output folder.
        earlier: What an earlier run made of it, where that answers this request: nothing is to be done.
        error: Why it cannot be done.
    """

    input: InputTrack
    names: TrackNames
    earlier: RunTrack | None = None
    error: StemsepEnvError | None = None

    @property
    def path(self) -> Path:
        """The input's path, absolute."""
        return self.input.path

    @property
    def outcome(self) -> RunTrack | None:
        """The track's part of the record where it is settled; None where it is to be separated."""
        return failed_track(self.path, self.error) if self.error is not None else self.earlier


def plan_tracks(
    plan: Plan, named: Sequence[Path], output: OutputPlan, *, recursive: bool = False
) -> tuple[PlannedTrack, ...]:
    """Decide about every track of a request. Stems of the output folder that a killed run had half published go back.

    Args:
        plan: The model's plan.
        named: Files and folders, in the user's order.
        output: Where and how stems are written, and what is done about files that are there.
        recursive: Whether folders are searched to the bottom.

    Raises:
        UsageError: Nothing to separate, an unknown stem, or names that cannot be kept apart.
    """
    inputs = collect_inputs(named, recursive=recursive, decodes=plan.runtime.recipe.decodes)
    stems = chosen_stems(plan, output.options.stems)
    sources = [track.source for track in inputs]
    names = plan_names(plan.entry.id, sources, stems, output.options.format, output.template)
    clear_folder(output.dir)
    return decide_tracks(inputs, names, output, wanted_digest=cache(lambda: wanted_digest(plan, output)))


def chosen_stems(plan: Plan, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the stems to write: those wanted, else all that the model makes.

    Raises:
        UsageError: The model makes no such stem, or the registry does not say what it makes and none was named.
    """
    made = plan.stems
    if wanted is None:
        if not made:
            raise UsageError(
                f"the registry does not say which stems {plan.entry.id} makes", hint="name them: --stems a,b"
            )
        return made
    unknown = [stem for stem in wanted if made and stem not in made]
    if unknown:
        raise UsageError(
            f"{plan.entry.id} makes no {', '.join(unknown)}", hint=f"its stems: {', '.join(made)}", code="stem_unknown"
        )
    return tuple(dict.fromkeys(wanted))


def wanted_digest(plan: Plan, output: OutputPlan) -> str | None:
    """Return the settings digest that finished work must have to answer a request.

    None while it is not known what would run: its environment has no name yet, or a file no hash.
    """
    if plan.environment.digest is None or None in plan.artifact_hashes.values():
        return None
    return settings_digest(plan, plan.environment.digest, output, code_digests(plan.runtime))


def decide_tracks(
    inputs: Sequence[InputTrack],
    names: Sequence[TrackNames],
    output: OutputPlan,
    *,
    wanted_digest: Callable[[], str | None],
) -> tuple[PlannedTrack, ...]:
    """Decide about every track: separate it, skip it since its stems are there already, or refuse it.

    Args:
        inputs: The tracks.
        names: Their planned outputs, in the same order.
        output: Where they go, and what to do about files that are there.
        wanted_digest: Gives the settings digest of finished work that counts, or None where none does; asked where
            stems are there.
    """
    taken = {key for planned in names for key in _keys(planned)}
    return tuple(
        _decide(track, planned, output, wanted_digest, taken) for track, planned in zip(inputs, names, strict=True)
    )


def refuse_unwritable(output_dir: Path) -> None:
    """Refuse an output folder that plainly cannot be written before an hour goes into building and separating.

    Raises:
        UsageError: It is no folder, or cannot be written.
    """
    there = next(path for path in (output_dir, *output_dir.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise UsageError(f"{there} is a file, not a folder", hint="name another output folder", code="not_a_folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write to {there}", hint="choose a folder you can write to", code="not_writable")


def failed_track(path: Path, error: StemsepEnvError) -> RunTrack:
    """Return the part of the record that tells of a track that could not be done."""
    return RunTrack(
        status="failed",
        input=RunInput(path=str(path), sha256=None, size_bytes=None),
        error=Finding(code=error.code, message=error.message, hint=error.hint),
        exit_code=error.exit_code,
    )


def _decide(
    track: InputTrack,
    names: TrackNames,
    output: OutputPlan,
    wanted_digest: Callable[[], str | None],
    taken: set[str],
) -> PlannedTrack:
    if track.error is not None:
        return PlannedTrack(track, names, error=track.error)
    there = [place for place in names.stems.values() if (output.dir / place).exists()]
    if not there or output.existing == "overwrite":
        return PlannedTrack(track, names)
    if output.existing == "rename":
        return PlannedTrack(track, _free_names(names, output.dir, taken))
    why = "exists"
    if output.existing == "skip":
        try:
            earlier = _earlier(track, names, output, wanted_digest())
        except UsageError as error:
            return PlannedTrack(track, names, error=error)
        if earlier is not None:
            return PlannedTrack(track, names, earlier=earlier)
        why = "was not made by this same request"
    hint = "use --existing overwrite or --existing rename, or another output folder"
    refusal = UsageError(f"{output.dir / there[0]} {why}", hint=hint, code="output_exists")
    return PlannedTrack(track, names, error=refusal)


def _earlier(track: InputTrack, names: TrackNames, output: OutputPlan, wanted: str | None) -> RunTrack | None:
    """Return what an earlier run made of a track, where that is what this request would make."""
    try:
        digest = sha256_of(track.path)[0]
    except OSError as problem:
        raise UsageError(f"cannot read {track.path}: {problem.strerror}", code="input_unreadable") from None
    earlier = answering_track(output, names, wanted_digest=wanted, input_sha256=digest)
    return None if earlier is None else earlier.model_copy(update={"status": "skipped", "timings": None})


def _free_names(names: TrackNames, output_dir: Path, taken: set[str]) -> TrackNames:
    """Return names that nothing has, neither on the disk nor among what this run plans, and plan them."""
    for number in range(2, _MOST_RENAMES):
        candidate = TrackNames(
            {stem: _numbered(place, number) for stem, place in names.stems.items()}, _numbered(names.record, number)
        )
        keys = _keys(candidate)
        there = any((output_dir / place).exists() for place in (*candidate.stems.values(), candidate.record))
        if not there and taken.isdisjoint(keys):
            taken |= keys
            return candidate
    raise UsageError(f"{output_dir} holds too many numbered copies of {names.record.parent}", code="output_exists")


def _keys(names: TrackNames) -> set[str]:
    return {comparison_key(place) for place in (*names.stems.values(), names.record)}


def _numbered(place: PurePosixPath, number: int) -> PurePosixPath:
    """Return ``song/bass.wav`` as ``song (2)/bass.wav``, or as ``bass (2).wav`` when it lies in no folder."""
    if len(place.parts) > 1:
        return place.parent.with_name(f"{place.parent.name} ({number})") / place.name
    return place.with_name(f"{place.stem} ({number}){place.suffix}")
