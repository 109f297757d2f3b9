"""The tracks of a run as jobs: decided one by one before anything starts, then done one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stemsep_envs.documents.events import Event, OnEvent, TrackPlace
from stemsep_envs.documents.protocol import ProgressParams
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunInput, RunTrack
from stemsep_envs.errors import InterruptedRunError, StemsepEnvError, UsageError
from stemsep_envs.host.files import sha256_of
from stemsep_envs.separation.inputs import InputTrack
from stemsep_envs.separation.output_names import TrackNames, comparison_key
from stemsep_envs.separation.output_options import OutputPlan
from stemsep_envs.separation.run_records import RunFrame, answering_track, build_record, write_record
from stemsep_envs.separation.session import Session

_MOST_RENAMES = 10_000


@dataclass(frozen=True)
class Job:
    """One input and the names of its outputs. ``verdict`` is what became of it already; None: to be run."""

    input: InputTrack
    names: TrackNames
    verdict: RunTrack | None = None


def plan_jobs(
    inputs: Sequence[InputTrack], names: Sequence[TrackNames], output: OutputPlan, *, wanted_digest: str | None
) -> tuple[Job, ...]:
    """Decide about every track: run it, skip it since its stems are there already, or refuse it.

    Args:
        inputs: The tracks.
        names: Their planned outputs, in the same order.
        output: Where they go, and what to do about files that are there.
        wanted_digest: The run's settings digest; None while its environment is not known, so that nothing is skipped.
    """
    taken = {key for planned in names for key in _keys(planned)}
    return tuple(
        _decide(track, planned, output, wanted_digest, taken) for track, planned in zip(inputs, names, strict=True)
    )


def run_jobs(
    session: Session, frame: RunFrame, jobs: Sequence[Job], *, keep_going: bool, on_event: OnEvent
) -> Iterator[RunTrack]:
    """Do the jobs in order, yielding each track as it ends; a track's own record is written before it is yielded.

    Where the worker died too often to go on, the tracks that are left fail for that reason.

    Raises:
        InterruptedRunError: A track was cancelled.
    """
    for index, job in enumerate(jobs):
        place = TrackPlace(index=index, count=len(jobs), input=str(job.input.path))
        on_event(Event(event="track_started", place=place))
        track = job.verdict or _run_job(session, frame, job, on_event, place)
        on_event(Event(event="track_finished", track=track, place=place))
        yield track
        if track.status == "failed" and not keep_going:
            return


def separate_recorded(
    session: Session,
    frame: RunFrame,
    job: Job,
    *,
    on_progress: Callable[[ProgressParams], None] | None = None,
    cancelled: threading.Event | None = None,
) -> RunTrack:
    """Separate one track and write its own record, last; raises as `Session.separate` does."""

    def record(track: RunTrack) -> None:
        write_record(frame.output.dir / job.names.record, build_record(frame, (track,), status="done", exit_code=0))

    return session.separate(
        job.input.path, job.names, frame.output, record=record, on_progress=on_progress, cancelled=cancelled
    )


def settled(jobs: Sequence[Job], on_event: OnEvent) -> list[RunTrack]:
    """Tell of jobs that all had their verdict before anything was started, and return them."""
    tracks = [job.verdict for job in jobs if job.verdict is not None]
    for index, (job, track) in enumerate(zip(jobs, tracks, strict=True)):
        place = TrackPlace(index=index, count=len(jobs), input=str(job.input.path))
        on_event(Event(event="track_finished", track=track, place=place))
    return tracks


def failed_track(path: Path, error: StemsepEnvError) -> RunTrack:
    """Return the part of the record that tells of a track that could not be done."""
    return RunTrack(
        status="failed",
        input=RunInput(path=str(path), sha256=None, size_bytes=None),
        error=Finding(code=error.code, message=error.message, hint=error.hint),
        exit_code=error.exit_code,
    )


def _run_job(session: Session, frame: RunFrame, job: Job, on_event: OnEvent, place: TrackPlace) -> RunTrack:
    def tell(progress: ProgressParams) -> None:
        on_event(
            Event(
                event="progress",
                stage=progress.stage,
                done_frames=progress.done_frames,
                total_frames=progress.total_frames,
                place=place,
            )
        )

    try:
        return separate_recorded(session, frame, job, on_progress=tell)
    except InterruptedRunError:
        raise
    except StemsepEnvError as error:
        return failed_track(job.input.path, error)


def _decide(
    track: InputTrack, names: TrackNames, output: OutputPlan, wanted_digest: str | None, taken: set[str]
) -> Job:
    if track.error is not None:
        return Job(track, names, failed_track(track.path, track.error))
    there = [place for place in names.stems.values() if (output.dir / place).exists()]
    if not there or output.existing == "overwrite":
        return Job(track, names)
    if output.existing == "rename":
        return Job(track, _free_names(names, output.dir, taken))
    if output.existing == "skip":
        try:
            digest = sha256_of(track.path)[0]
        except OSError as problem:
            unreadable = UsageError(f"cannot read {track.path}: {problem.strerror}", code="input_unreadable")
            return Job(track, names, failed_track(track.path, unreadable))
        earlier = answering_track(output, names, wanted_digest=wanted_digest, input_sha256=digest)
        if earlier is not None:
            return Job(track, names, earlier.model_copy(update={"status": "skipped", "timings": None}))
        why = "was not made by this same request"
    else:
        why = "exists"
    error = UsageError(
        f"{output.dir / there[0]} {why}",
        hint="use --existing overwrite or --existing rename, or another output folder",
        code="output_exists",
    )
    return Job(track, names, failed_track(track.path, error))


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
