"""Building the environment of a plan: its requirements resolved, its weights looked at, its engine made."""

from __future__ import annotations

from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.environments.reuse_or_build import ensure_environment, resolve_plan
from stemsep_envs.planning.plan import Plan
from stemsep_envs.provisioning.build_confinement import BuildConfinement
from stemsep_envs.provisioning.conversion import refuse_other_weights
from stemsep_envs.provisioning.engine import ensure_engine


def build_planned(plan: Plan, on_event: OnEvent) -> Environment:
    """Make what is missing of a plan's engine and environment; raises as `provision.provision_all` does."""
    report, confine = step_reporter(on_event), BuildConfinement(plan.home)
    offline = plan.options.offline
    environment = plan.environment
    if environment.lock is None and environment.state != "ready":  # whether it can be met is known before any download
        environment = resolve_plan(environment, home=plan.home, offline=offline, report=report, confine=confine)
    if environment.state != "ready":  # where it is, the adapter looks before this would have
        refuse_other_weights(plan, report=report)
    if plan.engine is not None:
        ensure_engine(plan.engine, plan.home, offline=offline, report=report)
    return ensure_environment(environment, home=plan.home, offline=offline, report=report, confine=confine)
