"""What a resolver's failure becomes: who asks for what cannot be met, in words and as names."""

from __future__ import annotations

from collections.abc import Callable

from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.resolver_errors import unsatisfiable
from stemsep_envs.errors import BuildError

REASONING = "No solution found: because Neural_Operator==1.0 needs torch<2 and you require torch>=2.3, nothing works."


def refused(recipe: RuntimeRecipe, output: str) -> BuildError:
    wants = merge(recipe, [*runtime_demands(recipe), model_demand("m", packages=("neural-operator", "einops"))])
    inputs = lock_inputs(wants, parse_target("linux-x86_64-cpu"), "3.12")
    return unsatisfiable(BuildError("uv failed", output=output), wants, inputs, what="engine")


def test_the_named_requirements_are_told_with_who_asks(recipe: Callable[..., RuntimeRecipe]) -> None:
    error = refused(recipe(), REASONING)
    assert error.about == ("neural-operator", "torch")
    assert "neural-operator (model m: requirements.pip.packages[0])" in error.message
    assert "torch>=2.3 (runtime engine: torch.min) together" in error.message


def test_a_resolver_that_names_nobody_is_about_none(recipe: Callable[..., RuntimeRecipe]) -> None:
    error = refused(recipe(), "No solution found")
    assert error.about == ()
    assert error.code == "unsatisfiable"
