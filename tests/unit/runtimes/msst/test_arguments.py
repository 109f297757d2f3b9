"""Arguments of a config against a constructor, in words."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def problems_with(module: Callable[[str], ModuleType]) -> Callable[[dict[str, Any], Any], list[str]]:
    found: Callable[[dict[str, Any], Any], list[str]] = module("arguments").problems_with
    return found


class Net:
    def __init__(self, dim: int, *, depth: int, zero_dc: bool = True, use_torch_checkpoint: bool = False) -> None:
        pass


class Anything:
    def __init__(self, dim: int, **more: int) -> None:
        pass


def test_what_fits_has_no_problems(problems_with: Any) -> None:
    assert problems_with({"dim": 1, "depth": 2, "zero_dc": False}, Net) == []
    assert problems_with({"dim": 1, "whatever": 2}, Anything) == []


def test_unknown_arguments_are_named_with_their_nearest(problems_with: Any) -> None:
    (problem,) = problems_with({"dim": 1, "depth": 2, "use_checkpoint": True}, Net)
    assert problem == "`use_checkpoint` is unknown (it knows use_torch_checkpoint)"
    (problem,) = problems_with({"dim": 1, "depth": 2, "sage_attention": True}, Net)
    assert problem == "`sage_attention` is unknown"


def test_missing_arguments_are_named_together(problems_with: Any) -> None:
    assert problems_with({"zero_dc": True}, Net) == ["missing: dim, depth"]


def test_a_flood_of_unknown_arguments_is_counted(problems_with: Any) -> None:
    problems = problems_with({"dim": 1, "depth": 2, **{f"x{n:03}": 0 for n in range(300)}}, Net)
    assert problems[-1] == "and 292 more are unknown"
    assert len(problems) == 9
