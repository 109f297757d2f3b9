"""`ensure`: the environment of each model, reused or built, and its artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stemsep_envs.documents.ensure_report import EnsuredModel, EnsureReport
from stemsep_envs.documents.events import OnEvent, ignore_event, step_reporter
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.errors import BlockedError
from stemsep_envs.host.paths import default_registry_path
from stemsep_envs.planning.plan import Plan, PlanOptions, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.conversion import convert_artifacts
from stemsep_envs.provisioning.provision import provision_all
from stemsep_envs.provisioning.witnesses import Witnesses, witnesses_of


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
    ready = provision_all(_plan_all(model_ids, options), on_event=on_event)
    converted = [convert_artifacts(each.plan, report=step_reporter(on_event)) for each in ready]
    return Ensured(
        report=EnsureReport(models=tuple(_ensured(each.plan, each.environment) for each in ready)),
        plans=tuple(each.plan for each in ready),
        witnesses=witnesses_of(options.registry_path or default_registry_path(), ready, converted),
    )


def _plan_all(model_ids: Sequence[str], options: PlanOptions) -> list[Plan]:
    """Plan all models; the reasons against all of them are told together."""
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


def _ensured(plan: Plan, environment: Environment) -> EnsuredModel:
    return EnsuredModel(
        model_id=plan.entry.id,
        runtime=plan.runtime.recipe.id,
        variant=plan.model.variant,
        target=plan.model.target,
        environment=environment.digest,
        environment_dir=str(environment.dir),
        python=str(environment.python),
        reused=environment.reused,
        steps_seconds={} if environment.reused else dict(environment.steps_seconds),
        artifacts=tuple(str(artifact.path) for artifact in plan.artifacts),
    )
