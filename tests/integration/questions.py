"""Recipes, plans and locks of made-up engines, for tests that resolve and build for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import recipes

from stemsep_envs.documents.lock import Lock
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.environment_plan import EnvironmentPlan, plan_environment
from stemsep_envs.environments.environment_question import question_of
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.resolving import resolve
from stemsep_envs.environments.sources.sdist_metadata import sdist_metadata
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home
from stemsep_envs.provisioning.build_confinement import BuildConfinement


def make_recipe(**changes: Any) -> RuntimeRecipe:
    """Return a recipe of an engine that needs torch; keyword arguments replace what it says."""
    with_torch: dict[str, Any] = {
        "python": {"min": "3.10", "max": "3.13"},
        "accelerators": ["cpu", "cuda", "rocm", "mps", "xpu"],
        "torch": {"min": "2.3"},
        "health": {"imports": ["torch"]},
    }
    return recipes.make_recipe(**{**with_torch, **changes})


def ask(recipe: RuntimeRecipe, **model: Any) -> Requirements:
    """Merge what a recipe and a model ask for."""
    return merge(recipe, [*runtime_demands(recipe), model_demand("song-model", **model)])


def lock_for(target: str | Target, requirements: Requirements, home: Home, *, python: str = "3.11") -> Lock:
    """Resolve."""
    place = parse_target(target)
    inputs = lock_inputs(requirements, place, python)
    metadata = sdist_metadata(BuildConfinement(home), home=home, offline=False)
    return resolve(inputs, requirements, home=home, what="engine", sdist_metadata=metadata)


def plan_here(
    recipe: RuntimeRecipe, home: Home, *, accelerator: str = "cpu", anew: bool = False, **options: Any
) -> EnvironmentPlan:
    """Plan an environment of this machine."""
    model = options.pop("model", {})
    target = Target(this_machine().platform, accelerator)
    question = question_of(recipe, ask(recipe, **model), target, locks_dir=Path("none"), **options)
    return plan_environment(question, home=home, anew=anew)


def versions(lock: Lock) -> dict[str, str]:
    """Return what is locked, by name."""
    return {pin.name: pin.version for pin in lock.pins}
