"""Adapters import nothing of ours, so each says itself what it is given: all say the same, and it is what they get."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from stemsep_envs.host.paths import data_dir
from stemsep_envs.inside.adapters import Context
from stemsep_envs.inside.source import Source
from stemsep_envs.inside.stems import Stem

CONTEXTS = sorted(data_dir("runtimes").glob("*/adapter/context.py"))
GIVEN = {"Context": Context, "Source": Source, "Sink": Stem}


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("context_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_adapters_say_the_same() -> None:
    assert len({path.read_text("utf-8") for path in CONTEXTS}) == 1


@pytest.mark.parametrize("path", CONTEXTS, ids=lambda path: str(path.parents[1].name))
@pytest.mark.parametrize("name", GIVEN)
def test_what_adapters_say_is_what_they_get(path: Path, name: str) -> None:
    said = getattr(module_at(path), name)
    methods = {method: one for method, one in vars(said).items() if inspect.isfunction(one) and method[0] != "_"}
    assert methods
    for method, one in methods.items():
        given = inspect.signature(getattr(GIVEN[name], method))
        assert list(given.parameters) == list(inspect.signature(one).parameters), method


def test_the_protocols_of_an_adapter_are_all_compared() -> None:
    said = {name for name, one in vars(module_at(CONTEXTS[0])).items() if getattr(one, "_is_protocol", False)}
    assert said - {"Protocol"} == set(GIVEN)
