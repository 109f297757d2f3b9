"""Choosing a target."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.targets import choose_target, target_reasons
from stemsep_envs.host.accelerators import Usable

MakeRecipe = Callable[..., RuntimeRecipe]
HERE = (Usable("cu128", "a device"), Usable("cu126", "a device"), Usable("cpu", "no accelerator is needed"))


@pytest.fixture
def requirements(recipe: MakeRecipe) -> Callable[..., Requirements]:
    """Merge a recipe's demands with a model's CUDA builds."""

    def make(*, cuda: list[str] | None = None, accelerators: list[str] | None = None) -> Requirements:
        engine = recipe(accelerators=accelerators or ["cpu", "cuda"])
        return merge(engine, [*runtime_demands(engine), model_demand("m", builds={"cuda": cuda or []})])

    return make


MakeRequirements = Callable[..., Requirements]


def test_the_best_that_is_allowed(requirements: MakeRequirements) -> None:
    assert choose_target(requirements(), HERE, platform="linux-x86_64").target == Target("linux-x86_64", "cu128")
    older = choose_target(requirements(cuda=["cu118", "cu126"]), HERE, platform="linux-x86_64")
    assert older.target == Target("linux-x86_64", "cu126")
    assert "cu128: runtime engine, model m allow cu118, cu126" in older.why


def test_processor_is_used_without_a_fitting_accelerator(requirements: MakeRequirements) -> None:
    choice = choose_target(requirements(cuda=["cu118"]), HERE, platform="linux-x86_64")
    assert choice.target == Target("linux-x86_64", "cpu")


def test_what_is_asked_for_never_falls_back(requirements: MakeRequirements) -> None:
    choice = choose_target(requirements(cuda=["cu118"]), HERE, platform="linux-x86_64", asked="cuda")
    assert choice.target is None
    assert choice.reasons[0].code == "target_not_supported"
    absent = choose_target(requirements(), HERE, platform="linux-x86_64", asked="mps")
    assert absent.reasons[0].message == "mps is asked for, and this machine runs cu128, cu126, cpu"


def test_a_build_or_a_kind_can_be_asked_for(requirements: MakeRequirements) -> None:
    for asked in ("cu126", "cpu"):
        choice = choose_target(requirements(), HERE, platform="linux-x86_64", asked=asked)
        assert choice.target == Target("linux-x86_64", asked)


def test_a_runtime_that_cannot_use_what_is_here(requirements: MakeRequirements) -> None:
    choice = choose_target(requirements(accelerators=["mps"]), HERE, platform="linux-x86_64")
    assert choice.target is None
    assert "cpu: runtime engine, model m allow mps" in choice.why


def test_a_named_target_is_checked(requirements: MakeRequirements) -> None:
    assert target_reasons(requirements(), Target("windows-x86_64", "cu128")) == ()
    assert target_reasons(requirements(), Target("macos-arm64", "mps"))[0].code == "target_not_supported"
