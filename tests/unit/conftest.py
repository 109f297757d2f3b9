"""Entries and plans for the tests of commands: made of the shipped registry and recipes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.host.paths import data_dir
from stemsep_envs.registry.recipes import load_runtime


@pytest.fixture(scope="session")
def shipped_entries() -> dict[str, dict[str, Any]]:
    """The registry's entries by id."""
    models = json.loads((data_dir("registry") / "models.v2.source.json").read_text("utf-8"))["models"]
    return {model["id"]: model for model in models}


@pytest.fixture
def entry(shipped_entries: dict[str, dict[str, Any]]) -> Callable[..., ModelEntry]:
    """Make an entry like dsp-hpss with changes, ``requirements__manual_steps=[...]`` and the like."""

    def make(**changes: Any) -> ModelEntry:
        document = copy.deepcopy(shipped_entries["dsp-hpss"])
        for path, value in changes.items():
            *folders, last = path.split("__")
            place = document
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = value
        return validate(document, ModelEntry, origin="an entry")

    return make


@pytest.fixture
def recipe() -> RuntimeRecipe:
    """The recipe of the dsp runtime."""
    return load_runtime(data_dir("runtimes"), "dsp").recipe
