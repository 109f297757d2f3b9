"""`run`: separate one or many tracks with a model, or tell what would be done."""

from __future__ import annotations

from stemsep_envs.documents.dry_run_report import Action, DryRunReport, DryTrack
from stemsep_envs.separation.jobs import Job
from stemsep_envs.separation.run import PreparedRun


def dry_run_report(prepared: PreparedRun) -> DryRunReport:
    """Tell what a prepared run would do."""
    return DryRunReport(
        preflight=prepared.plan.report,
        output_dir=str(prepared.request.output.dir),
        tracks=tuple(
            DryTrack(
                input=str(job.input.path),
                action=_action(job),
                outputs=tuple(map(str, job.names.stems.values())),
                error=job.verdict.error if job.verdict else None,
            )
            for job in prepared.jobs
        ),
    )


def _action(job: Job) -> Action:
    if job.verdict is None:
        return "separate"
    return "skip" if job.verdict.status == "skipped" else "fail"
