"""The environment of a plan, with its engine: reused or built."""

from __future__ import annotations

from collections.abc import Sequence

from stemsep_envs.documents.events import OnEvent, ignore_event, step_reporter
from stemsep_envs.environments.reuse_or_build import Environment, ensure_environment, resolve_plan
from stemsep_envs.errors import BuildError
from stemsep_envs.planning.plan import Plan
from stemsep_envs.provisioning.build_confinement import BuildConfinement
from stemsep_envs.provisioning.conversion import refuse_other_weights
from stemsep_envs.provisioning.engine import ensure_engine


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
    """Make sure of the engine and environment of one plan; raises as `ensure_models` does."""
    report = step_reporter(on_event)
    environment = plan.environment
    if environment.lock is None and environment.state != "ready":  # whether it can be met is known before any download
        confine = BuildConfinement(plan.home)
        environment = resolve_plan(
            environment, home=plan.home, offline=plan.options.offline, report=report, confine=confine
        )
    if environment.state != "ready":  # where it is, the adapter looks before this would have
        refuse_other_weights(plan, report=report)
    if plan.engine is not None:
        ensure_engine(plan.engine, plan.home, offline=plan.options.offline, report=report)
    return ensure_environment(
        environment, home=plan.home, offline=plan.options.offline, report=report, confine=BuildConfinement(plan.home)
    )
