"""Weighing the answers of preflight: a report in any case, and a plan when nothing stops the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemsep_envs.artifacts.model_files import ToFetch
from stemsep_envs.documents.preflight import EnvironmentAnswer, PreflightReport, RequirementsStatus, Resolved
from stemsep_envs.documents.reports import Finding, finding_of
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.errors import Reason
from stemsep_envs.planning import checks
from stemsep_envs.planning.artifact_status import ArtifactAnswers, answer_artifacts, unknown_hash_policy
from stemsep_envs.planning.enforcement import Enforcement
from stemsep_envs.planning.engine import PlannedEngine, planned_engine
from stemsep_envs.planning.plan import Plan, PlannedArtifact, Preflight, ResolvedModel
from stemsep_envs.registry.catalogue import files_dir
from stemsep_envs.sandbox.default_limits import default_limits


@dataclass(frozen=True)
class FileAnswers:
    """What depends on the model's files.

    Attributes:
        artifacts: Which are here, which can be fetched, which are missing.
        engine: The source tree that is made with them, if the runtime has one.
        engine_reasons: Why it cannot be made.
        engine_archive: What has to be fetched for it beside the model's files.
        expected: The files that the model expects in the engine.
    """

    artifacts: ArtifactAnswers
    engine: PlannedEngine | None
    engine_reasons: tuple[Reason, ...]
    engine_archive: tuple[ToFetch, ...]
    expected: checks.Answers


def answer_files(model: ResolvedModel) -> FileAnswers:
    """Find out which of a model's files are here, and what its engine is made of. Nothing is fetched.

    Raises:
        MismatchError: The index of addresses is damaged.
        UsageError: The environment variable for unknown hashes holds no policy.
    """
    home, options = model.home, model.options
    artifacts = answer_artifacts(
        model.entry,
        home,
        files_below=files_dir(options.registry_path),
        offline=options.offline,
        policy=unknown_hash_policy(options.unknown_hash),
    )
    engine = planned_engine(model.runtime, model.variant, checks.model_files(artifacts))
    archive = engine.archive_to_fetch(home, offline=options.offline) if engine else None
    return FileAnswers(
        artifacts=artifacts,
        engine=engine,
        engine_reasons=engine.reasons(home, offline=options.offline) if engine else (),
        engine_archive=(archive,) if archive else (),
        expected=checks.engine_files(model.entry, engine, home),
    )


def judge(
    model: ResolvedModel, files: FileAnswers, environment: EnvironmentPlan, doubts: Sequence[Reason] = ()
) -> Preflight:
    """Weigh all answers.

    Args:
        model: What is chosen for the model.
        files: What depends on its files.
        environment: The environment that would serve it.
        doubts: What could not be found out about the environment.
    """
    stopping, overridden = _enforce(_errors(model, files, environment), model.options.enforcement)
    report = PreflightReport(
        model_id=model.entry.id,
        can_proceed=not stopping,
        errors=_findings(stopping),
        warnings=_findings(
            [
                *overridden,
                *model.settings.warnings,
                *model.input.warnings,
                *doubts,
                *checks.entry_warnings(model.entry),
                *files.artifacts.warnings,
                *model.sandbox.warnings,
            ]
        ),
        resolved=_resolved(model, files, environment),
        input=model.input.facts,
    )
    if stopping:
        return Preflight(report, None)
    plan = Plan(
        model=model,
        artifacts=_planned_artifacts(model, files.artifacts),
        to_fetch=(*files.artifacts.to_fetch, *files.engine_archive),
        engine=files.engine,
        environment=environment,
        limits=default_limits(),
        overridden=_findings(overridden),
        report=report,
    )
    return Preflight(report, plan)


def refusal(model_id: str, reasons: Sequence[Reason]) -> Preflight:
    """Return the answer for a model of which no more than its refusal can be told."""
    report = PreflightReport(
        model_id=model_id, can_proceed=False, errors=_findings(reasons), warnings=(), resolved=None
    )
    return Preflight(report, None)


def _errors(model: ResolvedModel, files: FileAnswers, environment: EnvironmentPlan) -> list[Reason]:
    return [
        *model.reasons,
        *environment.reasons,
        *files.engine_reasons,
        *model.settings.errors,
        *model.manual_steps.reasons,
        *files.expected.reasons,
        *files.artifacts.reasons,
        *model.input.reasons,
        *model.sandbox.reasons,
    ]


def _planned_artifacts(model: ResolvedModel, answers: ArtifactAnswers) -> tuple[PlannedArtifact, ...]:
    entries = dict(model.entry.artifacts.each())
    return tuple(
        PlannedArtifact(record, path, entries[record.name].kind, pickle=entries[record.name].pickle)
        for record, path in answers.found
    )


def _resolved(model: ResolvedModel, files: FileAnswers, environment: EnvironmentPlan) -> Resolved:
    settings = model.settings.values
    return Resolved(
        runtime=model.runtime.recipe.id,
        runtime_reason=model.runtime_reason,
        variant=model.variant,
        target=model.target,
        target_reason=model.target_reason,
        device=model.target.device,
        settings={name: setting.value for name, setting in settings.items()},
        settings_source={name: setting.source for name, setting in settings.items()},
        settings_unit={name: setting.unit for name, setting in settings.items()},
        artifacts=files.artifacts.statuses,
        requirements_status=RequirementsStatus(
            python=checks.python_status(environment),
            torch=checks.torch_status(environment),
            packages=checks.package_statuses(environment),
            files=files.expected.statuses,
            manual_steps=model.manual_steps.statuses,
        ),
        environment=EnvironmentAnswer(digest=environment.digest, state=environment.state),
        sandbox=model.sandbox.answer(),
    )


def _enforce(errors: Sequence[Reason], enforcement: Enforcement) -> tuple[list[Reason], list[Reason]]:
    """Split what was found into what stops the run and what the developer overrides."""
    if enforcement == "strict":
        return list(errors), []
    return (
        [error for error in errors if error.code not in checks.OVERRIDABLE],
        [error for error in errors if error.code in checks.OVERRIDABLE],
    )


def _findings(reasons: Sequence[Reason]) -> tuple[Finding, ...]:
    return tuple(map(finding_of, reasons))
