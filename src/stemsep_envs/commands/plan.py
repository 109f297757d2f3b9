"""Preflight: the whole answer to "will this model run here, how, and if not why", before anything is done.

`plan_model` resolves a model as far as it can and collects every reason against it; what comes out is the report for
people and programs and, when the model may run, the `Plan` that `ensure` and `run` carry out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stemsep_envs.commands import checks
from stemsep_envs.commands.confinement import Confinement, choose_confinement
from stemsep_envs.commands.registry import catalogue_at
from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.documents.preflight import (
    EnvironmentAnswer,
    PreflightReport,
    RequirementsStatus,
    Resolved,
)
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.run import ResolvedSetting, RunArtifact
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.plan import EnvironmentPlan, plan_environment
from stemsep_envs.environments.targets import TargetChoice, choose_target, target_reasons
from stemsep_envs.errors import BlockedError, Reason, UsageError
from stemsep_envs.host.accelerators import Accelerators, detect, usable_accelerators
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home, data_dir, default_registry_path, find_home, is_shipped
from stemsep_envs.registry.recipes import Runtime, known_runtimes, load_runtime
from stemsep_envs.registry.routing import Route, check_recipe, choose_runtime
from stemsep_envs.registry.settings import resolve_settings
from stemsep_envs.sandbox.policy import Level, LevelName, Limits

Enforcement = Literal["strict", "warn"]


@dataclass(frozen=True)
class PlanOptions:
    """What the user says about how a model is to be resolved; the defaults say nothing.

    Attributes:
        registry_path: The registry file; None for the one in use.
        runtime: A runtime to insist on.
        target: ``auto``, a whole target, or an accelerator (``cpu``, ``cuda``, ``cu128``) of this platform.
        offline: Forbid the network.
        confirm_manual_steps: The model's manual steps are done.
        enforcement: ``strict`` refuses; ``warn`` lets what can be overridden pass, and records it.
        sandbox_level: The level to confine with.
        allow_level: A lower level that is accepted.
        options: Settings that have options of their own: overlap (ratio), segment (seconds), batch_size, shifts, tta,
            precision.
        assignments: ``name=value`` for the engine's own settings.
        phase_fix_reference: A model to take the phase from.
    """

    registry_path: Path | None = None
    runtime: str | None = None
    target: str = "auto"
    offline: bool = False
    confirm_manual_steps: bool = False
    enforcement: Enforcement = "strict"
    sandbox_level: LevelName | None = None
    allow_level: LevelName | None = None
    options: Mapping[str, SettingValue] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()
    phase_fix_reference: str | None = None


@dataclass(frozen=True)
class PlannedArtifact:
    """A file of the model that is here, and what the record says of it."""

    record: RunArtifact
    path: Path


@dataclass(frozen=True)
class Plan:
    """A model resolved for this machine.

    Attributes:
        stems: The stems it makes, as the registry or its model type says; empty when neither does.
        entry_sha256: Digest of the registry entry's canonical form.
        overridden: What strict enforcement would have refused.
    """

    home: Home
    entry: ModelEntry
    entry_sha256: str
    runtime: Runtime
    variant: str | None
    model_type: str | None
    target: Target
    settings: Mapping[str, ResolvedSetting]
    artifacts: tuple[PlannedArtifact, ...]
    stems: tuple[str, ...]
    environment: EnvironmentPlan
    sandbox: Confinement
    level: Level
    limits: Limits
    enforcement: Enforcement
    confirmed_manual_steps: bool
    offline: bool
    overridden: tuple[Finding, ...]
    report: PreflightReport


@dataclass(frozen=True)
class Preflight:
    """The answer: always a report, and a plan when there is enough to carry out."""

    report: PreflightReport
    plan: Plan | None


def planning_from(options: Mapping[str, Any]) -> PlanOptions:
    """Return the planning options among a command line's parsed options."""
    names = ("overlap", "segment", "batch_size", "shifts", "tta", "precision")
    return PlanOptions(
        registry_path=options.get("registry_path"),
        runtime=options.get("runtime"),
        target=options.get("target") or "auto",
        offline=bool(options.get("offline")),
        confirm_manual_steps=bool(options.get("confirm_manual_steps")),
        enforcement=options.get("enforce") or "strict",
        sandbox_level=options.get("sandbox_level"),
        allow_level=options.get("allow_level"),
        options={name: options[name] for name in names if options.get(name) is not None},
        assignments=tuple(options.get("assignments") or ()),
        phase_fix_reference=options.get("phase_fix_reference"),
    )


def plan_model(model_id: str, options: PlanOptions, *, input_path: Path | None = None) -> Preflight:
    """Resolve a model for this machine without building, fetching or starting anything.

    Args:
        model_id: The registry's id.
        options: What the user says.
        input_path: An audio file whose header is checked against the model.

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
    reasons = list(route.reasons)
    if options.phase_fix_reference is not None:
        reasons += checks.phase_fix_reasons(catalogue.get(options.phase_fix_reference))
    if route.runtime is None or route.runtime not in known:
        return _without_plan(model_id, reasons)
    runtime = load_runtime(runtimes_dir, route.runtime)
    unfit = check_recipe(entry, runtime.recipe)
    if unfit:
        return _without_plan(model_id, [*reasons, *unfit])
    return _resolve(home, entry, route, runtime, reasons, options, input_path)


def refuse_if_blocked(preflight: Preflight) -> Plan:
    """Return the plan of a model that may run.

    Raises:
        BlockedError: It may not; carries every reason.
    """
    report = preflight.report
    if preflight.plan is None or not report.can_proceed:
        reasons = tuple(Reason(error.code, error.message, error.hint, error.path) for error in report.errors)
        raise BlockedError(f"{report.model_id} cannot run here", reasons)
    return preflight.plan


def _resolve(
    home: Home,
    entry: ModelEntry,
    route: Route,
    runtime: Runtime,
    reasons: list[Reason],
    options: PlanOptions,
    input_path: Path | None,
) -> Preflight:
    recipe = runtime.recipe
    needs = entry.requirements
    demand = model_demand(
        entry.id,
        python=(needs.python.min, needs.python.max),
        torch=(needs.torch.min, needs.torch.max),
        cuda=needs.torch.cuda,
        rocm=needs.torch.rocm,
        packages=needs.pip.packages,
    )
    demands = runtime_demands(recipe, model_type=entry.runtime.model_type, variant=entry.runtime.variant)
    requirements = merge(recipe, [*demands, demand])
    # A runtime that uses the processor alone spares the machine the search, which is a process with some drivers.
    accelerators = detect() if set(recipe.accelerators) != {"cpu"} else Accelerators()
    chosen = _choose_target(options.target, requirements, accelerators)
    if chosen.target is None:
        return _without_plan(entry.id, [*reasons, *chosen.reasons])
    environment = plan_environment(requirements, chosen.target, recipe=recipe, locks_dir=runtime.locks_dir, home=home)
    settings = resolve_settings(
        entry,
        recipe,
        options=options.options,
        assignments=options.assignments,
        vram_gb=_memory_gb(accelerators, chosen.target),
    )
    confinement = choose_confinement(
        entry,
        recipe,
        home=home,
        trusted_registry=options.registry_path is None and is_shipped(default_registry_path()),
        asked=options.sandbox_level,
        allowed=options.allow_level,
    )
    steps = checks.manual_steps(entry, recipe, confirmed=options.confirm_manual_steps)
    files = checks.engine_files(entry)
    artifacts = checks.artifacts(entry, home)
    header = checks.input_answer(entry, recipe, input_path)
    errors = [
        *reasons,
        *chosen.reasons,
        *environment.reasons,
        *settings.errors,
        *steps.reasons,
        *files.reasons,
        *artifacts.reasons,
        *header.reasons,
        *confinement.reasons,
    ]
    warnings = [*settings.warnings, *header.warnings, *checks.entry_warnings(entry), *confinement.warnings]
    resolved = Resolved(
        runtime=recipe.id,
        runtime_reason=route.chosen_by,
        variant=entry.runtime.variant,
        target=chosen.target,
        target_reason=chosen.why,
        device=chosen.target.device,
        settings={name: setting.value for name, setting in settings.values.items()},
        settings_source={name: setting.source for name, setting in settings.values.items()},
        settings_unit={name: setting.unit for name, setting in settings.values.items()},
        artifacts=artifacts.statuses,
        requirements_status=RequirementsStatus(
            python=checks.python_status(environment),
            torch=checks.torch_status(environment),
            packages=checks.package_statuses(environment),
            files=files.statuses,
            manual_steps=steps.statuses,
        ),
        environment=EnvironmentAnswer(digest=environment.digest, state=environment.state),
        sandbox=confinement.answer(),
    )
    stopping, overridden = _enforce(errors, options.enforcement)
    report = PreflightReport(
        model_id=entry.id,
        can_proceed=not stopping,
        errors=_findings(stopping),
        warnings=(*_findings(overridden), *_findings(warnings)),
        resolved=resolved,
        input=header.facts,
    )
    if stopping or confinement.level is None:
        return Preflight(report, None)
    plan = Plan(
        home=home,
        entry=entry,
        entry_sha256=digest_of(entry.model_dump(mode="json", exclude_unset=True)),
        runtime=runtime,
        variant=entry.runtime.variant,
        model_type=entry.runtime.model_type,
        target=chosen.target,
        settings=settings.values,
        artifacts=tuple(PlannedArtifact(record, path) for record, path in artifacts.found),
        stems=entry.stems or recipe.model_types[entry.runtime.model_type or ""].stems or (),
        environment=environment,
        sandbox=confinement,
        level=confinement.level,
        limits=Limits(),
        enforcement=options.enforcement,
        confirmed_manual_steps=options.confirm_manual_steps,
        offline=options.offline,
        overridden=_findings(overridden),
        report=report,
    )
    return Preflight(report, plan)


def _choose_target(asked: str, requirements: Requirements, accelerators: Accelerators) -> TargetChoice:
    platform = this_machine().platform
    if asked == "auto":
        return choose_target(requirements, usable_accelerators(accelerators, platform), platform=platform)
    if "-" not in asked:
        usable = usable_accelerators(accelerators, platform)
        return choose_target(requirements, usable, platform=platform, asked=asked)
    try:
        target = parse_target(asked)
    except ValueError as error:
        raise UsageError(str(error), code="target_unknown") from None
    return TargetChoice(target, "command line", target_reasons(requirements, target))


def _memory_gb(accelerators: Accelerators, target: Target) -> float | None:
    if target.accelerator == "cpu":
        return 0.0
    sizes = [device.memory_bytes for device in accelerators.nvidia_devices if device.memory_bytes]
    return min(sizes) / 1e9 if sizes and target.accelerator.startswith("cu") else None


def _enforce(errors: list[Reason], enforcement: Enforcement) -> tuple[list[Reason], list[Reason]]:
    """Split what was found into what stops the run and what the developer overrides."""
    if enforcement == "strict":
        return errors, []
    return (
        [error for error in errors if error.code not in checks.OVERRIDABLE],
        [error for error in errors if error.code in checks.OVERRIDABLE],
    )


def _findings(reasons: list[Reason]) -> tuple[Finding, ...]:
    return tuple(
        Finding(code=reason.code, message=reason.message, hint=reason.hint, path=reason.path) for reason in reasons
    )


def _without_plan(model_id: str, reasons: list[Reason]) -> Preflight:
    report = PreflightReport(
        model_id=model_id, can_proceed=False, errors=_findings(reasons), warnings=(), resolved=None
    )
    return Preflight(report, None)
