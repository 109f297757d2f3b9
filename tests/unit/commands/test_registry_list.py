"""`registry list`: which models are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.commands.registry_list import list_registry


def test_listing(registry: Path) -> None:
    listed = list_registry(registry)
    assert [(model.id, model.runtime) for model in listed.models] == [("dsp-hpss", "dsp"), ("other", "msst")]
    assert listed.warnings == ()
    assert [model.id for model in list_registry(registry, runtime="msst").models] == ["other"]
    assert [model.id for model in list_registry(registry, stem="harmonic").models] == ["dsp-hpss"]
    assert list_registry(registry, runtime="msst", stem="harmonic").models == ()


def test_the_registry_in_use_is_the_variables(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(registry))
    listed = list_registry(None)
    assert (listed.path, [model.id for model in listed.models]) == (str(registry), ["dsp-hpss", "other"])


def test_an_entry_without_a_readable_id_is_a_warning(registry: Path) -> None:
    registry.write_text(registry.read_text("utf-8").replace('"other"', '"Other"'), encoding="utf-8")
    assert [finding.path for finding in list_registry(registry).warnings] == ["models[1].id"]
