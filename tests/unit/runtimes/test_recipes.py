"""A recipe and its adapter say the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stemsep_envs.documents.runtime import SettingDeclaration
from stemsep_envs.host.paths import data_dir
from stemsep_envs.registry.recipes import known_runtimes, load_runtime

RUNTIMES = data_dir("runtimes")


@pytest.mark.parametrize("runtime_id", known_runtimes(RUNTIMES))
def test_every_recipe_is_valid_and_has_what_it_names(runtime_id: str) -> None:
    runtime = load_runtime(RUNTIMES, runtime_id)
    code = runtime.adapter_path
    assert (code / "__init__.py" if code.name == "adapter" else code).is_file()
    assert (runtime.dir / "README.md").is_file()
    for variant in runtime.recipe.variants.values():
        for patch in variant.patches:
            if patch.source and not patch.source.startswith("artifact:"):
                assert (runtime.dir / patch.source).is_file()


def test_dsp_declares_the_settings_that_its_adapter_takes() -> None:
    runtime = load_runtime(RUNTIMES, "dsp")
    described: dict[str, dict[str, dict[str, Any]]] = load_adapter(runtime.adapter_path).describe()["settings"]
    assert set(described) == set(runtime.recipe.model_types)
    for model_type, settings in described.items():
        declared = {name: as_described(name, one) for name, one in runtime.recipe.declared_settings(model_type).items()}
        assert declared == settings


def load_adapter(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("adapter_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_described(name: str, setting: SettingDeclaration) -> dict[str, Any]:
    assert setting.type == "float"
    return {
        "name": name,
        "default": setting.default,
        "minimum": setting.min,
        "maximum": setting.max,
        "unit": setting.unit,
        "description": setting.description,
    }
