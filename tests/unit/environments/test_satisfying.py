"""Whether what is there meets what is asked for, and how it differs from a lock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemsep_envs.documents.lock import Lock, LockInputs, Pin
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.satisfying import differences, unsatisfied

HERE = {"torch": "2.7.1+cu126", "numpy": "2.1", "einops": "0.8"}


@pytest.fixture
def asked(recipe: Callable[..., RuntimeRecipe]) -> Requirements:
    made = recipe()
    packages = ("einops>=0.7", "tomli>=2 ; python_version < '3.11'")
    return merge(made, [*runtime_demands(made), model_demand("m", packages=packages)])


def refusals(asked: Requirements, versions: dict[str, str], target: str, python: str = "3.12.4") -> list[str]:
    inputs = lock_inputs(asked, parse_target(target), python.rpartition(".")[0])
    return [reason.message for reason in unsatisfied(versions, asked, inputs, python)]


def test_what_is_there_serves(asked: Requirements) -> None:
    for target in ("linux-x86_64-cpu", "linux-x86_64-cu126", "linux-x86_64-cu128"):
        assert refusals(asked, HERE, target) == []


def test_every_refusal_says_who_asks(asked: Requirements) -> None:
    found = refusals(asked, {"torch": "2.2", "numpy": "not a version"}, "linux-x86_64-cpu", "3.10.1")
    assert sorted(found) == sorted(
        (
            "einops>=0.7 is asked for, and einops is not there (model m: requirements.pip.packages[0])",
            (
                "numpy>=1.26 is asked for, and numpy is of a version that is none: not a version"
                " (runtime engine: packages[0])"
            ),
            "torch>=2.3 is asked for, and torch 2.2 is there (runtime engine: torch.min)",
            (
                'tomli>=2; python_version < "3.11" is asked for, and tomli is not there'
                " (model m: requirements.pip.packages[1])"
            ),
        )
    )
    assert refusals(asked, HERE, "linux-x86_64-cpu", "3.9.1")[0].startswith("it is Python 3.9.1")


def test_torch_build_for_another_accelerator_is_refused(asked: Requirements) -> None:
    assert "built for cpu" in refusals(asked, {**HERE, "torch": "2.7.1+cpu"}, "linux-x86_64-cu128")[0]
    assert "built for cu126" in refusals(asked, HERE, "linux-x86_64-rocm6.4")[0]


def test_differences_from_a_lock() -> None:
    inputs = LockInputs(parse_target("linux-x86_64-cu128"), "3.12", ("torch",), ("torch",))
    pins = (Pin("numpy", "2.1.0", ("0" * 64,)), Pin("soxr", "1.0", ("0" * 64,)), Pin("torch", "2.8", ("0" * 64,)))
    assert differences(HERE, inputs, Lock(inputs, "uv 0", "2026-01-01", pins)) == (
        "soxr 1.0 is locked and not there",
        "torch is 2.7.1+cu126 and 2.8 is locked",
        "besides it holds einops",
        "its torch is built for cu126, not for cu128",
    )
    assert differences(HERE, inputs, None)[0] == "there is no lock to compare it with"
