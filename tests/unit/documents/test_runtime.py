"""Runtime recipes: those that ship are valid, and mistakes are found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.runtime import RuntimeRecipe, SettingDeclaration
from stemsep_envs.errors import InvalidDocumentError
from stemsep_envs.host.paths import data_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = sorted(data_dir("runtimes").glob("*/runtime.toml"))


def read(path: Path) -> dict[str, Any]:
    """The recipe's tables."""
    tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return tables


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_recipes_that_ship_are_valid(path: Path) -> None:
    recipe = validate(read(path), RuntimeRecipe, origin=str(path))
    assert recipe.id == path.parent.name
    assert (path.parent / recipe.adapter).exists()
    assert recipe.health.imports


def test_the_dsp_runtime_needs_no_weights_and_no_accelerator() -> None:
    recipe = validate(read(data_dir("runtimes") / "dsp" / "runtime.toml"), RuntimeRecipe, origin="dsp")
    assert recipe.accelerators == ("cpu",)
    assert recipe.torch is None
    assert set(recipe.model_types) == {"hpss", "hpr", "centre-side"}


def test_every_mistake_is_told_with_its_path() -> None:
    document = read(data_dir("runtimes") / "dsp" / "runtime.toml")
    document["packages"] = ["numpy >< 3", "soundfile"]
    document["python"] = {"min": "three"}
    document["accelerators"] = ["gpu"]
    document["colour"] = "blue"
    with pytest.raises(InvalidDocumentError) as caught:
        validate(document, RuntimeRecipe, origin="runtime.toml")
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {"packages[0]", "python.min", "accelerators[0]", "colour"}


def test_declared_settings_are_the_runtimes_then_the_types() -> None:
    document = read(data_dir("runtimes") / "dsp" / "runtime.toml")
    shared = {"type": "int", "default": 1, "description": "Shared."}
    own = {"type": "float", "default": 0.5, "description": "Own."}
    document["settings"] = {"a": shared, "b": shared}
    document["model_types"]["hpss"]["settings"] = {"b": own}
    recipe = validate(document, RuntimeRecipe, origin="runtime.toml")
    declared = recipe.declared_settings("hpss")
    assert (declared["a"].type, declared["b"].type) == ("int", "float")
    assert recipe.declared_settings("hpr")["b"].type == "int"


@pytest.mark.parametrize(
    ("declaration", "value", "words"),
    [
        ({"type": "int"}, 1.5, "must be a whole number"),
        ({"type": "int"}, True, "must be a whole number"),
        ({"type": "bool"}, 1, "must be true or false"),
        ({"type": "str"}, 1, "must be text"),
        ({"type": "float", "min": 0.5}, 0.25, "must be at least 0.5"),
        ({"type": "float", "max": 2}, 3, "must be at most 2"),
        ({"type": "str", "choices": ["a", "b"]}, "c", "must be one of a, b"),
        ({"type": "float", "min": 0, "max": 1}, 1, None),
    ],
)
def test_values_of_settings(declaration: dict[str, Any], value: Any, words: str | None) -> None:
    setting = SettingDeclaration.model_validate({**declaration, "description": "A setting."})
    problem = setting.problem_with(value)
    assert (problem is None) if words is None else (problem is not None and problem.startswith(words))


def test_a_default_that_its_own_bounds_refuse() -> None:
    with pytest.raises(ValueError, match="its own default must be at most 1"):
        SettingDeclaration.model_validate({"type": "float", "default": 2, "max": 1, "description": "A setting."})
