"""Preflight: the whole answer to "will this model run here, how, and if not why", before anything is done.

`plan_model` resolves a model as far as it can and collects every reason against it; what comes out is the report for
people and programs and, when the model may run, the `Plan` that `ensure` and `run` carry out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.artifacts.model_files import ToFetch
from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.documents.preflight import (
    EnvironmentAnswer,
    PreflightReport,
    RequirementsStatus,
    Resolved,
)
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.reports import Finding, finding_of
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.environment_plan import EnvironmentPlan, plan_environment
from stemsep_envs.environments.targets import TargetChoice, choose_target, target_reasons
from stemsep_envs.errors import Reason, UsageError
from stemsep_envs.host.accelerators import Accelerators, detect, usable_accelerators, why_not
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home, data_dir, default_registry_path, find_home, is_shipped
from stemsep_envs.planning import checks
from stemsep_envs.planning.artifact_status import ArtifactAnswers, answer_artifacts, unknown_hash_policy
from stemsep_envs.planning.confinement import Confinement, choose_confinement
from stemsep_envs.planning.engine import PlannedEngine, planned_engine
from stemsep_envs.planning.plan import Plan, PlannedArtifact, PlanOptions, Preflight
from stemsep_envs.planning.requirements import device_reasons, requirements_of
from stemsep_envs.registry.catalogue import catalogue_at, files_dir
from stemsep_envs.registry.recipes import Runtime, known_runtimes, load_runtime
from stemsep_envs.registry.routing import Route, check_recipe, choose_runtime
from stemsep_envs.registry.settings import Settings, resolve_settings
from stemsep_envs.sandbox.worker_limits import default_limits

AskResolver = Callable[[EnvironmentPlan, Home, bool], tuple[EnvironmentPlan, tuple[Reason, ...]]]
"""Gives an environment's plan a lock where it has none, or says why there is none; told the home, and whether the
network is forbidden. It is not known here what resolves."""


def plan_model(
    model_id: str, options: PlanOptions, *, input_path: Path | None = None, resolve: AskResolver | None = None
) -> Preflight:
    """Resolve a model for this machine without building, fetching or starting anything.

    Args:
        model_id: The registry's id.
        options: What the user says.
        input_path: An audio file whose header is checked against the model.
        resolve: Asked where no lock is there yet, for who wants to be certain.

    Raises:
        UsageError: Unknown model (with the nearest names), a target that is none, settings the model does not have.
        InvalidDocumentError: The registry entry or the runtime's recipe is wrong.
        MismatchError: A lock that ships with the runtime was changed.
    """
    home = find_home()
    catalogue = catalogue_at(options.registry_path)
    entry = catalogue.get(model_id)
    runtimes_dir = data_dir("runtimes")
    known = known_runtimes(runtimes_dir)
    route = choose_runtime(entry, options.runtime, known)
    reasons = [*route.reasons, *checks.weights_reasons(entry)]
    if options.phase_fix_reference is not None:
        reasons += checks.phase_fix_reasons(catalogue.get(options.phase_fix_reference))
    if route.runtime is None or route.runtime not in known:
        return _without_plan(model_id, reasons)
    runtime = load_runtime(runtimes_dir, route.runtime)
    unfit = check_recipe(entry, runtime.recipe)
    if unfit:
        return _without_plan(model_id, [*reasons, *unfit])
    question = _Question(home, entry, route, runtime, options, input_path, resolve)
    nowhere = device_reasons(entry, runtime.recipe)
    if nowhere:
        return _without_plan(model_id, [*reasons, *nowhere])
    requirements = requirements_of(entry, runtime.recipe)
    accelerators = _accelerators(question)
    chosen = _choose_target(options.target, requirements, accelerators)
    if chosen.target is None:
        return _without_plan(model_id, [*reasons, *chosen.reasons])
    answers = _answer(question, requirements, chosen.target, _memory_gb(accelerators, chosen.target))
    return _judge(question, chosen, answers, reasons)


@dataclass(frozen=True)
class _Question:
    """A model, the runtime it is routed to, and what the user says."""

    home: Home
    entry: ModelEntry
    route: Route
    runtime: Runtime
    options: PlanOptions
    input_path: Path | None
    resolve: AskResolver | None

    @property
    def model_type(self) -> str:
        """The runtime's word for the kind of model; `check_recipe` has seen to it that the runtime has it."""
        return self.entry.runtime.model_type_on(self.runtime.recipe.id) or ""


@dataclass(frozen=True)
class _Answers:
    """Every single answer of preflight."""

    engine: PlannedEngine | None
    environment: EnvironmentPlan
    settings: Settings
    confinement: Confinement
    steps: checks.Answers
    files: checks.Answers
    artifacts: ArtifactAnswers
    header: checks.InputAnswer
    engine_reasons: tuple[Reason, ...] = ()
    engine_archive: tuple[ToFetch, ...] = ()
    doubts: tuple[Reason, ...] = ()

    def errors(self) -> list[Reason]:
        """Return all reasons against the model."""
        return [
            *self.environment.reasons,
            *self.engine_reasons,
            *self.settings.errors,
            *self.steps.reasons,
            *self.files.reasons,
            *self.artifacts.reasons,
            *self.header.reasons,
            *self.confinement.reasons,
        ]


def _accelerators(question: _Question) -> Accelerators:
    """Look for accelerators, unless the runtime uses the processor alone: the search is a process with some drivers."""
    return detect() if set(question.runtime.recipe.accelerators) != {"cpu"} else Accelerators()


def _answer(question: _Question, requirements: Requirements, target: Target, memory_gb: float | None) -> _Answers:
    home, entry, options, recipe = question.home, question.entry, question.options, question.runtime.recipe
    policy = unknown_hash_policy(options.unknown_hash)
    below = files_dir(options.registry_path)
    artifacts = answer_artifacts(entry, home, files_below=below, offline=options.offline, policy=policy)
    engine = planned_engine(question.runtime, entry.runtime.variant, checks.model_files(artifacts))
    environment = plan_environment(
        requirements,
        target,
        recipe=recipe,
        locks_dir=question.runtime.locks_dir,
        home=home,
        engine_digest=engine.digest if engine else None,
        engine_known=engine is None or engine.digest is not None,
        builder=options.builder,
        anew=question.resolve is not None,
    )
    doubts: tuple[Reason, ...] = ()
    if question.resolve is not None:
        environment, doubts = question.resolve(environment, home, options.offline)
    archive = engine.archive_to_fetch(home, offline=options.offline) if engine else None
    return _Answers(
        engine=engine,
        environment=environment,
        doubts=doubts,
        settings=resolve_settings(
            entry, recipe, options=options.options, assignments=options.assignments, vram_gb=memory_gb
        ),
        confinement=choose_confinement(
            entry,
            recipe,
            home=home,
            trusted_registry=options.registry_path is None and is_shipped(default_registry_path()),
            gpu=target.accelerator != "cpu",
            asked=options.sandbox_level,
            allowed=options.allow_level,
        ),
        steps=checks.manual_steps(entry, recipe, confirmed=options.confirm_manual_steps),
        files=checks.engine_files(entry, engine, home),
        artifacts=artifacts,
        header=checks.input_answer(entry, recipe, question.input_path),
        engine_reasons=engine.reasons(home, offline=options.offline) if engine else (),
        engine_archive=(archive,) if archive else (),
    )


def _judge(question: _Question, chosen: TargetChoice, answers: _Answers, reasons: Sequence[Reason]) -> Preflight:
    """Weigh the answers: a report in any case, and a plan when nothing stops the model."""
    errors = [*reasons, *chosen.reasons, *answers.errors()]
    stopping, overridden = _enforce(errors, question.options.enforcement)
    warnings = [
        *overridden,
        *answers.settings.warnings,
        *answers.header.warnings,
        *answers.doubts,
        *checks.entry_warnings(question.entry),
        *answers.artifacts.warnings,
        *answers.confinement.warnings,
    ]
    report = PreflightReport(
        model_id=question.entry.id,
        can_proceed=not stopping,
        errors=_findings(stopping),
        warnings=_findings(warnings),
        resolved=_resolved(question, chosen, answers),
        input=answers.header.facts,
    )
    level = answers.confinement.level
    if stopping or level is None or chosen.target is None:
        return Preflight(report, None)
    entry, recipe, options = question.entry, question.runtime.recipe, question.options
    plan = Plan(
        home=question.home,
        entry=entry,
        entry_sha256=digest_of(entry.model_dump(mode="json", exclude_unset=True)),
        runtime=question.runtime,
        variant=entry.runtime.variant,
        model_type=question.model_type,
        target=chosen.target,
        settings=answers.settings.values,
        artifacts=_planned_artifacts(entry, answers.artifacts),
        to_fetch=(*answers.artifacts.to_fetch, *answers.engine_archive),
        stems=entry.stems or recipe.model_types[question.model_type].stems or (),
        engine=answers.engine,
        environment=answers.environment,
        sandbox=answers.confinement,
        level=level,
        limits=default_limits(),
        enforcement=options.enforcement,
        confirmed_manual_steps=options.confirm_manual_steps,
        offline=options.offline,
        overridden=_findings(overridden),
        report=report,
    )
    return Preflight(report, plan)


def _planned_artifacts(entry: ModelEntry, answers: ArtifactAnswers) -> tuple[PlannedArtifact, ...]:
    entries = dict(entry.artifacts.each())
    return tuple(
        PlannedArtifact(record, path, entries[record.name].kind, pickle=entries[record.name].pickle)
        for record, path in answers.found
    )


def _resolved(question: _Question, chosen: TargetChoice, answers: _Answers) -> Resolved | None:
    if chosen.target is None:
        return None
    settings, environment = answers.settings.values, answers.environment
    return Resolved(
        runtime=question.runtime.recipe.id,
        runtime_reason=question.route.chosen_by,
        variant=question.entry.runtime.variant,
        target=chosen.target,
        target_reason=chosen.why,
        device=chosen.target.device,
        settings={name: setting.value for name, setting in settings.items()},
        settings_source={name: setting.source for name, setting in settings.items()},
        settings_unit={name: setting.unit for name, setting in settings.items()},
        artifacts=answers.artifacts.statuses,
        requirements_status=RequirementsStatus(
            python=checks.python_status(environment),
            torch=checks.torch_status(environment),
            packages=checks.package_statuses(environment),
            files=answers.files.statuses,
            manual_steps=answers.steps.statuses,
        ),
        environment=EnvironmentAnswer(digest=environment.digest, state=environment.state),
        sandbox=answers.confinement.answer(),
    )


def _choose_target(asked: str, requirements: Requirements, accelerators: Accelerators) -> TargetChoice:
    platform = this_machine().platform
    if asked == "auto":
        return choose_target(requirements, usable_accelerators(accelerators, platform), platform=platform)
    if asked and "-" not in asked:
        usable = usable_accelerators(accelerators, platform)
        return choose_target(requirements, usable, platform=platform, asked=asked)
    try:
        target = parse_target(asked)
    except ValueError as error:
        raise UsageError(str(error), code="target_unknown") from None
    reasons = target_reasons(requirements, target)
    if not reasons and target.platform == platform:  # another platform's is refused for that
        reasons = _absent(target, accelerators)
    return TargetChoice(target, "command line", reasons)


def _absent(target: Target, accelerators: Accelerators) -> tuple[Reason, ...]:
    """Say why a target that was named does not run here, by what was found; building for it can be insisted on."""
    words = why_not(target.accelerator, accelerators, target.platform)
    if words is None:
        return ()
    hint = "choose --target auto; to prepare an environment for another machine, --enforce warn"
    return (Reason("accelerator_missing", f"{target} does not run here: {words}", hint=hint),)


def _memory_gb(accelerators: Accelerators, target: Target) -> float | None:
    if target.accelerator == "cpu":
        return 0.0
    sizes = [device.memory_bytes for device in accelerators.nvidia_devices if device.memory_bytes]
    return min(sizes) / 1e9 if sizes and target.accelerator.startswith("cu") else None


def _enforce(errors: list[Reason], enforcement: str) -> tuple[list[Reason], list[Reason]]:
    """Split what was found into what stops the run and what the developer overrides."""
    if enforcement == "strict":
        return errors, []
    return (
        [error for error in errors if error.code not in checks.OVERRIDABLE],
        [error for error in errors if error.code in checks.OVERRIDABLE],
    )


def _findings(reasons: Sequence[Reason]) -> tuple[Finding, ...]:
    return tuple(map(finding_of, reasons))


def _without_plan(model_id: str, reasons: list[Reason]) -> Preflight:
    report = PreflightReport(
        model_id=model_id, can_proceed=False, errors=_findings(reasons), warnings=(), resolved=None
    )
    return Preflight(report, None)
