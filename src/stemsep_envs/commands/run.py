"""`run`: separate one or many tracks with a model, or tell what would be done."""

from __future__ import annotations

from stemsep_envs.documents.dry_run_report import Action, DryRunReport, DryTrack
from stemsep_envs.documents.events import OnEvent, ignore_event
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunRecord
from stemsep_envs.separation.run import PreparedRun, RunRequest, prepare, run_prepared
from stemsep_envs.separation.track_plan import PlannedTrack


def run(request: RunRequest, *, on_event: OnEvent = ignore_event) -> RunRecord:
    """Separate the tracks of a request; see `prepare` for what is refused beforehand, and `run_prepared`."""
    return run_prepared(prepare(request), on_event=on_event)


def dry_run_report(prepared: PreparedRun) -> DryRunReport:
    """Tell what a prepared run would do."""
    return DryRunReport(
        preflight=prepared.plan.report,
        output_dir=str(prepared.request.output.dir),
        tracks=tuple(
            DryTrack(
                input=str(track.path),
                action=_action(track),
                outputs=tuple(map(str, track.names.stems.values())),
                error=_error(track),
            )
            for track in prepared.tracks
        ),
    )


def _action(track: PlannedTrack) -> Action:
    if track.error is not None:
        return "fail"
    return "skip" if track.earlier is not None else "separate"


def _error(track: PlannedTrack) -> Finding | None:
    error = track.error
    return None if error is None else Finding(code=error.code, message=error.message, hint=error.hint)
