"""A plan of an environment is plain data: written, read elsewhere, and made anew from its question."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from stemsep_envs.documents.lock import Lock, Pin
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.environment_plan import EnvironmentPlan, plan_environment, with_lock
from stemsep_envs.environments.environment_question import EnvironmentQuestion, question_of
from stemsep_envs.environments.locking import FoundLock, lock_inputs
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.pythons import PythonChoice
from stemsep_envs.errors import Reason
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home

PLANS = TypeAdapter(EnvironmentPlan)
MakeQuestion = Callable[..., EnvironmentQuestion]


@pytest.fixture
def question(recipe: Callable[..., RuntimeRecipe], tmp_path: Path) -> MakeQuestion:
    def make(target: Target | None = None, **options: object) -> EnvironmentQuestion:
        made = recipe(accelerator_packages={"cuda": ["onnxruntime-gpu"]}, excluded={"gradio": "a page"})
        wants = merge(made, [*runtime_demands(made, variant="fno"), model_demand("m", packages=("einops>=0.7",))])
        target = target or parse_target("linux-x86_64-cu128")
        return question_of(made, wants, target, locks_dir=tmp_path / "locks", **options)  # type: ignore[arg-type]

    return make


def through_json(plan: EnvironmentPlan) -> EnvironmentPlan:
    return PLANS.validate_json(PLANS.dump_json(plan))


def test_a_whole_plan_survives_json(question: MakeQuestion, interpreter: Callable[..., Interpreter]) -> None:
    asked = question(engine_digest="e" * 64, python="3.12", builder="pip")
    inputs = lock_inputs(asked.requirements, asked.target, "3.12")
    pins = (Pin("einops", "0.8", ("0" * 64, "1" * 64)), Pin("torch", "2.8", ("2" * 64,)))
    lock = FoundLock(Lock(inputs, "uv 1", "2026-01-01", pins), Path("/locks/a.txt"), "shipped")
    why = Reason("a", "b", "c", "d", "e", about=("torch", "python"))
    plan = EnvironmentPlan(
        question=asked,
        python=PythonChoice("3.12", interpreter("3.12.4"), "the newest", ("3.9 is older",), (why,)),
        lock_inputs=inputs,
        lock=lock,
        digest="d" * 64,
        state="impossible",
        reasons=(why,),
        builder="pip",
    )
    assert through_json(plan) == plan
    assert through_json(plan).title == "engine fno for linux-x86_64-cu128"
    read = through_json(plan)
    assert read.lock is not None
    assert (read.lock.lock.digest, read.lock.lock.inputs.digest) == (lock.lock.digest, inputs.digest)


@pytest.mark.parametrize("known", [True, False])
def test_a_plan_made_here_survives_json(question: MakeQuestion, tmp_path: Path, known: bool) -> None:
    home = Home(tmp_path / "home")
    here = Target(this_machine().platform, "cpu")
    plan = plan_environment(question(here, engine_known=known), home=home)
    assert plan.state == ("to_lock" if known else "to_fetch")
    assert through_json(plan) == plan
    assert plan_environment(through_json(plan).question, home=home) == plan


def test_a_conflict_survives_json(recipe: Callable[..., RuntimeRecipe], tmp_path: Path) -> None:
    made = recipe()
    wants = merge(made, [*runtime_demands(made), model_demand("m", packages=("numpy<1",), torch=(None, "2.0"))])
    target = parse_target("linux-x86_64-cpu")
    plan = plan_environment(question_of(made, wants, target, locks_dir=tmp_path), home=Home(tmp_path / "home"))
    assert plan.state == "impossible"
    assert wants.conflicts
    assert through_json(plan) == plan


def test_a_plan_read_back_takes_its_lock(question: MakeQuestion, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    plan = through_json(plan_environment(question(Target(this_machine().platform, "cpu")), home=home))
    assert plan.lock_inputs is not None
    found = FoundLock(Lock(plan.lock_inputs, "uv 1", "2026-01-01", (Pin("a", "1", ("0" * 64,)),)), tmp_path, "home")
    locked = with_lock(plan, found, home=home)
    assert (locked.lock, locked.state) == (found, "to_build")


def test_all_parts_of_a_plan_are_compared() -> None:
    assert all(field.compare for field in dataclasses.fields(EnvironmentPlan))
