"""What the adapters of audio-separator and stemsep-legacy take is what their recipes declare; and lengths in frames."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from stemsep_envs.host.paths import data_dir
from stemsep_envs.registry.recipes import load_runtime

RUNTIMES = data_dir("runtimes")


class RefusedError(Exception):
    """What `context.fail` raises here."""


class Context:
    def fail(self, kind: str, message: str, hint: str | None = None) -> NoReturn:
        raise RefusedError(f"{kind}: {message} ({hint})")


def adapter_module(runtime: str, name: str) -> ModuleType:
    """One module of an adapter, without what its package imports."""
    package_name = f"{runtime.replace('-', '_')}_under_test"
    if package_name not in sys.modules:
        package = ModuleType(package_name)
        package.__path__ = [str(Path(RUNTIMES) / runtime / "adapter")]
        sys.modules[package_name] = package
    return importlib.import_module(f"{package_name}.{name}")


def test_audio_separator_declares_its_adapters_settings() -> None:
    recipe = load_runtime(RUNTIMES, "audio-separator").recipe
    defaults: dict[str, dict[str, Any]] = adapter_module("audio-separator", "settings").DEFAULTS
    assert set(defaults) == set(recipe.model_types)
    for model_type, taken in defaults.items():
        declared = {name: one.default for name, one in recipe.declared_settings(model_type).items()}
        assert declared == taken, model_type


def test_stemsep_legacy_declares_its_adapters_settings() -> None:
    recipe = load_runtime(RUNTIMES, "stemsep-legacy").recipe
    taken = adapter_module("stemsep-legacy", "settings")._DEFAULTS._asdict()
    for model_type in recipe.model_types:
        assert {name: one.default for name, one in recipe.declared_settings(model_type).items()} == taken


@pytest.mark.parametrize(("frames", "hop"), [(256, 1024), (801, 441), (2, 512)])
def test_a_length_in_seconds_and_back(frames: int, hop: int) -> None:
    settings = adapter_module("audio-separator", "settings")
    assert settings.frames_of(settings.seconds_of(frames, hop, 44100), hop, 44100, Context()) == frames


def test_what_cannot_be_taken_is_said() -> None:
    settings = adapter_module("audio-separator", "settings")
    with pytest.raises(RefusedError, match="shorter than one step"):
        settings.frames_of(0.001, 1024, 44100, Context())
    with pytest.raises(RefusedError, match="no model type 'spleeter'"):
        settings.resolve("spleeter", {}, Context())
    with pytest.raises(RefusedError, match="vr models have no setting 'overlap'"):
        settings.resolve("vr", {"overlap": 2}, Context())
    taken = settings.resolve("roformer", {"stem_names": "other=instrumental, Vocals = lead"}, Context())
    assert settings.stem_names(taken, Context()) == {"other": "instrumental", "vocals": "lead"}
    with pytest.raises(RefusedError, match="is not NAME=STEM"):
        settings.stem_names(settings.resolve("roformer", {"stem_names": "other"}, Context()), Context())


def test_the_table_of_mdx_models_is_whole() -> None:
    configs = adapter_module("audio-separator", "configs")
    table = configs._own_table()
    assert len(table) > 40
    for digest, numbers in table.items():
        assert len(digest) == 32
        assert numbers["mdx_dim_f_set"] <= numbers["mdx_n_fft_scale_set"] // 2 + 1
        assert 1 <= numbers["compensate"] < 2
        assert numbers["primary_stem"] in {"Vocals", "Instrumental", "Drums", "Bass", "Other", "Reverb"}
