"""The environment of a plan, with its engine: reused, or built by what is only loaded for that."""

from __future__ import annotations

from collections.abc import Sequence

from stemsep_envs.documents.events import OnEvent, ignore_event
from stemsep_envs.environments.built_environment import Environment, ready_environment
from stemsep_envs.errors import BuildError
from stemsep_envs.planning.plan import Plan


def ensure_planned_all(plans: Sequence[Plan], on_event: OnEvent) -> list[Environment]:
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
            f"{len(missing)} of {len(plans)} environments are not available offline",
            hint=missing[0].hint,
            code="offline",
            output="\n".join(dict.fromkeys(f"{error.message}\n{error.output}" for error in missing)),
            command=missing[0].command,
        )
    if missing:
        raise missing[0]
    return environments


def ensure_planned(plan: Plan, *, on_event: OnEvent = ignore_event) -> Environment:
    """Make sure of the engine and environment of one plan; raises as `provision.provision_all` does."""
    if plan.engine is None or plan.engine.is_whole(plan.home):
        found = ready_environment(plan.environment, plan.home)
        if found is not None:
            return found
    from stemsep_envs.provisioning.environment_build import build_planned  # noqa: PLC0415 - most runs need none of it

    return build_planned(plan, on_event)
