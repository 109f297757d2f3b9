"""Doing the tracks of a request in a session: separate, publish the stems, write the record, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from stemsep_envs.documents.events import Event, OnEvent, TrackPlace
from stemsep_envs.documents.protocol import ProgressParams
from stemsep_envs.documents.run import RunTrack, SessionTimings
from stemsep_envs.errors import InterruptedRunError, StemsepEnvError
from stemsep_envs.separation.output_options import OutputPlan
from stemsep_envs.separation.publishing import journal_folder, published
from stemsep_envs.separation.run_records import RunFrame, build_record, new_run_id, now_text, write_record
from stemsep_envs.separation.separated_track import TrackRequest
from stemsep_envs.separation.session import ModelSession
from stemsep_envs.separation.track_facts import track_record
from stemsep_envs.separation.track_plan import PlannedTrack, failed_track
from stemsep_envs.worker.deadlines import OnProgress


def do_tracks(
    session: ModelSession, frame: RunFrame, tracks: Sequence[PlannedTrack], *, keep_going: bool, on_event: OnEvent
) -> Iterator[RunTrack]:
    """Do the tracks in order, yielding each as it ends; a track's own record is written before it is yielded.

    Where the worker died too often to go on, the tracks that are left fail for that reason.

    Raises:
        InterruptedRunError: A track was cancelled.
    """
    for index, planned in enumerate(tracks):
        place = TrackPlace(index=index, count=len(tracks), input=str(planned.path))
        on_event(Event(event="track_started", place=place))
        track = planned.outcome or _done_or_failed(session, frame, planned, on_event, place)
        on_event(Event(event="track_finished", track=track, place=place))
        yield track
        if track.status == "failed" and not keep_going:
            return


def settled(tracks: Sequence[PlannedTrack], on_event: OnEvent) -> list[RunTrack]:
    """Tell of tracks that were all settled before anything was started, and return them."""
    outcomes = [outcome for track in tracks if (outcome := track.outcome) is not None]
    for index, (planned, track) in enumerate(zip(tracks, outcomes, strict=True)):
        place = TrackPlace(index=index, count=len(tracks), input=str(planned.path))
        on_event(Event(event="track_finished", track=track, place=place))
    return outcomes


def separate_and_publish(
    session: ModelSession,
    frame: RunFrame,
    planned: PlannedTrack,
    *,
    on_progress: OnProgress | None = None,
    cancelled: threading.Event | None = None,
) -> RunTrack:
    """Separate one track and put its stems and its record in place, together or not at all.

    Args:
        session: The loaded model.
        frame: What all tracks of the run have in common.
        planned: The track.
        on_progress: Called with each sign of progress (frames of the input).
        cancelled: Set it from another thread to give the track up.

    Returns:
        The track's part of the record.

    Raises:
        ModelError: The model's code failed or its worker died.
        UsageError: The input is not readable audio or does not fit the model, the output folder cannot be written, or
            the session is busy.
        LimitError: A deadline passed, or memory or disk ran out.
        InterruptedRunError: It was cancelled, or the session was closed by another thread.
    """
    names, output = planned.names, frame.output
    request = TrackRequest(planned.path, tuple(names.stems), output.options)
    with (
        session.separate(request, on_progress=on_progress, cancelled=cancelled) as separated,
        journal_folder(output.dir, scratch=session.scratch, home=session.plan.home) as journal_dir,
        published(separated.stems, names, output.dir, journal_dir=journal_dir),
    ):
        track = track_record(separated, names)
        write_record(output.dir / names.record, build_record(frame, (track,), status="done", exit_code=0))
    return track


def frame_of(session: ModelSession, output: OutputPlan) -> RunFrame:
    """Return what the tracks of a session that was opened by itself have in common, each being a run of its own."""
    return RunFrame(
        run_id=new_run_id(),
        started_at=now_text(),
        plan=session.plan,
        environment=session.environment,
        output=output,
        code=session.code,
        timings=SessionTimings(
            preflight_seconds=0,
            environment_seconds=0,
            start_seconds=session.start_seconds,
            load_seconds=session.load_seconds,
        ),
    )


def _done_or_failed(
    session: ModelSession, frame: RunFrame, planned: PlannedTrack, on_event: OnEvent, place: TrackPlace
) -> RunTrack:
    def tell(progress: ProgressParams) -> None:
        on_event(
            Event(
                event="progress",
                place=place,
                stage=progress.stage,
                done_frames=progress.done_frames,
                total_frames=progress.total_frames,
            )
        )

    try:
        return separate_and_publish(session, frame, planned, on_progress=tell)
    except InterruptedRunError:
        raise
    except StemsepEnvError as error:
        return failed_track(planned.path, error)
