"""A run: its tracks decided, its model provisioned, its session opened, its tracks done, its record written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stemsep_envs.documents.events import Event, OnEvent, ignore_event
from stemsep_envs.documents.run import RunRecord, RunTrack, SessionTimings
from stemsep_envs.errors import InterruptedRunError, ModelError
from stemsep_envs.planning.plan import Plan, PlanOptions, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.environment import ensure_planned
from stemsep_envs.provisioning.fetch import with_files
from stemsep_envs.separation.code_digests import code_digests
from stemsep_envs.separation.opening import open_planned
from stemsep_envs.separation.output_options import OutputPlan
from stemsep_envs.separation.run_records import RunFrame, build_record, keep_record, new_run_id, now_text
from stemsep_envs.separation.scratch import parent_of_scratch
from stemsep_envs.separation.track_plan import PlannedTrack, chosen_stems, plan_tracks, refuse_unwritable
from stemsep_envs.separation.tracks import do_tracks, settled
from stemsep_envs.worker.deadlines import Deadlines


@dataclass(frozen=True)
class RunRequest:
    """What to separate, how, and where to.

    Attributes:
        model: The model's id.
        inputs: Files and folders.
        output: Where and how to write.
        planning: How the model is to be resolved.
        recursive: Whether folders are searched to the bottom.
        keep_going: Whether the other tracks are still done when one fails.
        deadlines: How long the worker may take.
    """

    model: str
    inputs: Sequence[Path]
    output: OutputPlan
    planning: PlanOptions
    recursive: bool = False
    keep_going: bool = True
    deadlines: Deadlines = field(default_factory=Deadlines)


@dataclass(frozen=True)
class PreparedRun:
    """Everything decided, nothing done yet.

    Attributes:
        request: What was asked for.
        plan: How the model runs.
        tracks: What is to become of each track.
        preflight_seconds: How long deciding took.
    """

    request: RunRequest
    plan: Plan
    tracks: tuple[PlannedTrack, ...]
    preflight_seconds: float

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be separated."""
        return all(track.outcome is not None for track in self.tracks)


def prepare(request: RunRequest) -> PreparedRun:
    """Resolve the model, list the tracks and plan every output's name, without building or starting anything.

    What a killed run left unfinished in the output folder is taken back before: it would pass for outputs.

    Raises:
        BlockedError: Preflight refuses the model.
        UsageError: Unknown model, stem, setting or input; names that cannot be kept apart.
    """
    began = time.monotonic()
    return _decide(request, refuse_if_blocked(plan_model(request.model, request.planning)), began)


def _decide(request: RunRequest, plan: Plan, began: float) -> PreparedRun:
    tracks = plan_tracks(plan, request.inputs, request.output, recursive=request.recursive)
    return PreparedRun(request, plan, tracks, time.monotonic() - began)


def run_prepared(prepared: PreparedRun, *, on_event: OnEvent = ignore_event) -> RunRecord:
    """Do what `prepare` decided.

    A track that cannot be done ends as failed in the record and (by default) does not stop the others. Records are
    written last: beside the stems of each track, then in the output folder and among the home's runs.

    Args:
        prepared: The decisions.
        on_event: Called with everything that happens.

    Returns:
        The record; its ``exit_code`` is 0 when every track is done or skipped, else that of the first failure.

    Raises:
        BuildError: The environment cannot be resolved or built.
        ModelError: The worker did not start, or the model did not load.
        UsageError: The output folder cannot be written.
        InterruptedRunError: Ctrl-C; finished tracks and their records stay, nothing else does.
    """
    request = prepared.request
    if prepared.plan.to_fetch and not prepared.is_settled:
        prepared = _with_files(prepared, on_event)
    frame = RunFrame(
        run_id=new_run_id(),
        started_at=now_text(),
        plan=prepared.plan,
        environment=None,
        output=request.output,
        code=code_digests(prepared.plan.runtime),
        timings=SessionTimings(
            preflight_seconds=prepared.preflight_seconds, environment_seconds=0, start_seconds=0, load_seconds=0
        ),
    )
    finished: list[RunTrack] = []
    try:
        if prepared.is_settled:
            finished += settled(prepared.tracks, on_event)
        else:
            refuse_unwritable(request.output.dir)
            frame = _with_environment(frame, on_event)
            frame = _separate(prepared, frame, finished, on_event)
    except (KeyboardInterrupt, InterruptedRunError) as error:
        _finish(frame, finished, status="cancelled", exit_code=InterruptedRunError.exit_code)
        raise InterruptedRunError(
            f"interrupted after {len(finished)} of {len(prepared.tracks)} tracks; finished tracks were kept"
        ) from error
    exit_code = next((track.exit_code for track in finished if track.status == "failed"), 0)
    record = _finish(frame, finished, status="failed" if exit_code else "done", exit_code=exit_code)
    on_event(Event(event="finished", exit_code=exit_code))
    return record


def _with_files(prepared: PreparedRun, on_event: OnEvent) -> PreparedRun:
    """Fetch what is missing of the model, and decide again: only now is it known what its files are."""
    request, began = prepared.request, time.monotonic() - prepared.preflight_seconds
    refuse_unwritable(request.output.dir)
    (plan,) = with_files([prepared.plan], on_event=on_event)
    return _decide(request, plan, began)


def _with_environment(frame: RunFrame, on_event: OnEvent) -> RunFrame:
    began = time.monotonic()
    environment = ensure_planned(frame.plan, on_event=on_event)
    timings = frame.timings.model_copy(update={"environment_seconds": time.monotonic() - began})
    return replace(frame, environment=environment, timings=timings)


def _separate(prepared: PreparedRun, frame: RunFrame, finished: list[RunTrack], on_event: OnEvent) -> RunFrame:
    """Open a session and do the jobs; what ends joins ``finished`` at once, for whoever catches an interruption."""
    if frame.environment is None:
        raise TypeError("a session needs an environment")
    request = prepared.request
    with open_planned(
        frame.plan,
        frame.environment,
        scratch_parent=parent_of_scratch(request.output.dir, frame.plan.home),
        on_event=on_event,
        deadlines=request.deadlines,
    ) as session:
        wanted = chosen_stems(frame.plan, request.output.options.stems)
        strangers = [stem for stem in wanted if stem not in session.stems]
        if strangers:
            raise ModelError(
                f"{frame.plan.entry.id} makes no {', '.join(strangers)}, whatever the registry says",
                hint=f"it makes {', '.join(session.stems)}",
                code="stems_differ",
            )
        timings = frame.timings.model_copy(
            update={"start_seconds": session.start_seconds, "load_seconds": session.load_seconds}
        )
        frame = replace(frame, plan=session.plan, code=session.code, timings=timings)
        on_event(Event(event="session_started", message=f"{frame.plan.entry.id} is loaded"))
        for track in do_tracks(session, frame, prepared.tracks, keep_going=request.keep_going, on_event=on_event):
            finished.append(track)  # noqa: PERF402 - one by one: see the docstring
    return frame


def _finish(frame: RunFrame, tracks: Sequence[RunTrack], *, status: str, exit_code: int) -> RunRecord:
    record = build_record(frame, tracks, status=status, exit_code=exit_code)
    # A run that was interrupted before its first track leaves no trace where the user looks for stems.
    keep_record(frame.plan.home, frame.output.dir if tracks else None, record)
    return record
