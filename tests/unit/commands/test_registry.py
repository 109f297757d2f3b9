"""What `registry` tells of the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.commands.registry import list_registry, model_ids, show_entry, validate_file
from stemsep_envs.errors import InvalidDocumentError, UsageError
from stemsep_envs.host.paths import default_registry_path


@pytest.fixture
def registry(tmp_path: Path, shipped_entries: dict[str, dict[str, Any]]) -> Path:
    other = {**shipped_entries["dsp-hpss"], "id": "other", "stems": ["vocals"], "mood": "blue"}
    other["runtime"] = {**other["runtime"], "allowed": ["msst"], "preferred": None}
    document = json.loads(default_registry_path().read_text("utf-8"))
    document["models"] = [shipped_entries["dsp-hpss"], other]
    path = tmp_path / "models.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_listing(registry: Path) -> None:
    listed = list_registry(registry)
    assert [(model.id, model.runtime) for model in listed.models] == [("dsp-hpss", "dsp"), ("other", "msst")]
    assert listed.warnings == ()
    assert [model.id for model in list_registry(registry, runtime="msst").models] == ["other"]
    assert [model.id for model in list_registry(registry, stem="harmonic").models] == ["dsp-hpss"]
    assert list_registry(registry, runtime="msst", stem="harmonic").models == ()
    assert model_ids(registry) == ("dsp-hpss", "other")


def test_the_registry_in_use_is_the_variables(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(registry))
    assert model_ids(None) == ("dsp-hpss", "other")
    assert validate_file(None).path == str(registry)


def test_an_entry_is_shown_as_it_is(registry: Path) -> None:
    written = json.loads(registry.read_text("utf-8"))["models"]
    assert [json.loads(show_entry(registry, model)) for model in ("dsp-hpss", "other")] == written


def test_validating(registry: Path, tmp_path: Path) -> None:
    report = validate_file(registry)
    assert report.model_count == 2
    assert [warning.path for warning in report.warnings] == ["models[1].mood"]
    registry.write_text(registry.read_text("utf-8").replace('"other"', '"Other"'), encoding="utf-8")
    with pytest.raises(InvalidDocumentError) as wrong:
        validate_file(registry)
    assert [problem.path for problem in wrong.value.problems] == ["models[1].id"]
    assert [finding.path for finding in list_registry(registry).warnings] == ["models[1].id"]
    with pytest.raises(UsageError) as missing:
        validate_file(tmp_path / "nowhere.json")
    assert missing.value.code == "registry_missing"
    with pytest.raises(UsageError) as unreadable:
        validate_file(tmp_path)
    assert unreadable.value.code == "registry_unreadable"


def test_validating_warns_of_runtimes_without_recipe(registry: Path) -> None:
    registry.write_text(registry.read_text("utf-8").replace('["msst"]', '["msst", "mssst"]'), encoding="utf-8")
    (warning,) = [warning for warning in validate_file(registry).warnings if warning.code == "runtime_unknown"]
    assert (warning.path, warning.hint) == ("models[1].runtime.allowed[1]", "did you mean msst?")
