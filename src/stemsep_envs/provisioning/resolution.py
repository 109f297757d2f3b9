"""Asking the resolver while a model is planned, for who wants to be certain before anything is downloaded."""

from __future__ import annotations

from dataclasses import replace

from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.environments.reuse_or_build import resolve_plan
from stemsep_envs.environments.unsatisfiable_cache import CODE
from stemsep_envs.errors import BuildError, Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.provisioning.build_confinement import BuildConfinement


def resolved(plan: EnvironmentPlan, home: Home, offline: bool) -> tuple[EnvironmentPlan, tuple[Reason, ...]]:
    """Return a plan with its lock, resolved and kept if there was none; or why there is none.

    Returns:
        The plan, impossible when the resolver says that nothing meets the requirements; and warnings, when it could not
        be asked.
    """
    if plan.lock is not None or plan.state in {"ready", "impossible"}:
        return plan, ()
    try:
        return resolve_plan(plan, home=home, offline=offline, confine=BuildConfinement(home)), ()
    except BuildError as error:
        if error.code == CODE:
            reason = Reason(CODE, error.message, hint=error.hint, details=error.output or None, about=error.about)
            return replace(plan, state="impossible", reasons=(reason,)), ()
        words = f"whether the requirements can be met is not known: {error.message}"
        return plan, (Reason("requirements_unresolved", words, hint=error.hint, details=error.output or None),)
