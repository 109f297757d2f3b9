"""`ensure`: the environment of each model, reused or built, and its artifacts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stemsep_envs.artifacts import blobs, index
from stemsep_envs.artifacts.wanted import wanted_files
from stemsep_envs.commands.confinement import BuildConfinement
from stemsep_envs.commands.convert import convert_artifacts, refuse_other_weights
from stemsep_envs.commands.fetch import with_files
from stemsep_envs.commands.listening import OnEvent, ignore_event
from stemsep_envs.commands.plan import Plan, PlanOptions, refuse_if_blocked
from stemsep_envs.commands.preflight import plan_model
from stemsep_envs.documents.ensure import EnsuredModel, EnsureReport
from stemsep_envs.documents.events import Event
from stemsep_envs.environments import store
from stemsep_envs.environments.adopted import notes_dir
from stemsep_envs.environments.ensure import Environment, ensure_environment, resolve_plan
from stemsep_envs.errors import BlockedError, BuildError
from stemsep_envs.host.interpreters import folders_to_watch
from stemsep_envs.host.paths import data_dir, default_registry_path, find_home
from stemsep_envs.registry.recipes import RECIPE_NAME


@dataclass(frozen=True)
class Witnesses:
    """Files and folders that an answer rests on: while none of them changes, on the same machine, neither does it.

    Attributes:
        read: What the answer was found with: registry, runtimes, recipes, locks, artifacts.
        searched: Folders that were looked in for interpreters; they need not exist.
        made: What the answer is: receipts, interpreters of environments, locks that were resolved for it.
        used_marks: Files whose time of change says when the environments and artifacts were last used.
    """

    read: tuple[Path, ...]
    searched: tuple[Path, ...]
    made: tuple[Path, ...]
    used_marks: tuple[Path, ...]


@dataclass(frozen=True)
class Ensured:
    """Models that are ready.

    Attributes:
        report: For people and programs.
        plans: How each was resolved, in the same order.
        witnesses: What the answer rests on.
    """

    report: EnsureReport
    plans: tuple[Plan, ...]
    witnesses: Witnesses


def ensure_models(model_ids: Sequence[str], options: PlanOptions, *, on_event: OnEvent = ignore_event) -> Ensured:
    """Make sure of the environment and the files of every model.

    All models are planned before anything is fetched or built, so that a refusal comes before any work.

    Raises:
        BlockedError: Preflight refuses one of them; carries its reasons.
        BuildError: Resolving or building failed.
        MismatchError: A lock or a downloaded file is not what was promised.
        LimitError: No space, or a deadline passed.
        ModelError: A checkpoint cannot be converted.
        UsageError: Unknown model or option.
    """
    plans = with_files(_plan_all(model_ids, options), options, on_event=on_event)
    environments = _ensure_all(plans, on_event)
    converted = [convert_artifacts(plan, report=_reporting(on_event)) for plan in plans]
    models = tuple(_ensured(plan, environment) for plan, environment in zip(plans, environments, strict=True))
    witnesses = _witnesses(options.registry_path or default_registry_path(), plans, environments)
    files = {artifact.path for plan in converted for artifact in plan.artifacts if artifact.converted is not None}
    witnesses = replace(witnesses, made=tuple(sorted({*witnesses.made, *files})))
    return Ensured(EnsureReport(models=models), tuple(plans), witnesses)


def _plan_all(model_ids: Sequence[str], options: PlanOptions) -> list[Plan]:
    """Plan all models; what is in the way is said of all of them together."""
    plans, refused = [], []
    for model_id in dict.fromkeys(model_ids):
        try:
            plans.append(refuse_if_blocked(plan_model(model_id, options)))
        except BlockedError as error:
            refused.append((model_id, error))
    if len(refused) > 1:
        reasons = tuple(
            replace(reason, message=f"{model_id}: {reason.message}")
            for model_id, error in refused
            for reason in error.reasons
        )
        raise BlockedError(f"{len(refused)} of {len(set(model_ids))} models cannot run here", reasons)
    if refused:
        raise refused[0][1]
    return plans


def _ensure_all(plans: Sequence[Plan], on_event: OnEvent) -> list[Environment]:
    """Make sure of every environment; what offline is missing is said of all of them together."""
    environments, missing = [], []
    for plan in plans:
        try:
            environments.append(ensure_planned(plan, on_event=on_event))
        except BuildError as error:
            if error.code != "offline":
                raise
            missing.append(error)
    if len(missing) > 1:
        raise BuildError(
            f"{len(missing)} of {len(plans)} environments cannot be had offline",
            hint=missing[0].hint,
            code="offline",
            output="\n".join(dict.fromkeys(f"{error.message}\n{error.output}" for error in missing)),
            command=missing[0].command,
        )
    if missing:
        raise missing[0]
    return environments


def ensure_planned(plan: Plan, *, on_event: OnEvent = ignore_event) -> Environment:
    """Make sure of the engine and environment of one plan; raises as `ensure_models` does."""
    report = _reporting(on_event)
    environment = plan.environment
    if environment.lock is None and environment.state != "ready":  # whether it can be met is known before any download
        confine = BuildConfinement(plan.home)
        environment = resolve_plan(environment, home=plan.home, offline=plan.offline, report=report, confine=confine)
    if environment.state != "ready":  # where it is, the adapter looks before this would have
        refuse_other_weights(plan, report=report)
    if plan.engine is not None:
        plan.engine.ensure(plan.home, offline=plan.offline, report=report)
    return ensure_environment(
        environment, home=plan.home, offline=plan.offline, report=report, confine=BuildConfinement(plan.home)
    )


def _reporting(on_event: OnEvent) -> Callable[[str, str], None]:
    return lambda step, detail: on_event(Event(event="step", step=step, message=detail))


def _ensured(plan: Plan, environment: Environment) -> EnsuredModel:
    return EnsuredModel(
        model_id=plan.entry.id,
        runtime=plan.runtime.recipe.id,
        variant=plan.variant,
        target=plan.target,
        environment=environment.digest,
        environment_dir=str(environment.dir),
        python=str(environment.python),
        reused=environment.reused,
        steps_seconds={} if environment.reused else dict(environment.steps_seconds),
        artifacts=tuple(str(artifact.path) for artifact in plan.artifacts),
    )


def _witnesses(registry_path: Path, plans: Sequence[Plan], environments: Sequence[Environment]) -> Witnesses:
    read = {registry_path, data_dir("runtimes")}
    made: set[Path] = set()
    marks: set[Path] = set()
    for plan, environment in zip(plans, environments, strict=True):
        shipped = plan.runtime.locks_dir
        read |= {plan.runtime.dir / RECIPE_NAME, shipped, *shipped.glob("*.txt")}
        read |= {artifact.path for artifact in plan.artifacts}
        if plan.environment.lock is not None:
            read.add(plan.environment.lock.path)
        else:  # resolved just now, perhaps for another Python than was planned
            made.add(plan.home.locks_dir / f"{environment.receipt.lock_inputs}.txt")
        made |= {environment.dir / store.RECEIPT, environment.python}
        if plan.engine is not None:
            made.add(plan.engine.receipt_path(plan.home))
            read |= set(plan.engine.recipe_files())
        marks.add(store.last_used_path(plan.home, environment.digest))
        marks |= {blobs.stamp_path(plan.home, artifact.record.sha256) for artifact in plan.artifacts}
        noted = (index.entry_path(plan.home, key) for wanted in wanted_files(plan.entry) for key in wanted.keys)
        read |= {path for path in noted if path.is_file()}
    searched = {*folders_to_watch(find_home(), os.environ), notes_dir(find_home())}
    for environment in environments:
        adopted = environment.receipt.adopted
        read |= set(map(Path, adopted.site_dirs)) if adopted is not None else set()
    return Witnesses(*(tuple(sorted(paths)) for paths in (read, searched, made, marks)))
