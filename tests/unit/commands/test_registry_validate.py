"""`registry validate`: problems and warnings with their places."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.commands.registry_validate import validate_file
from stemsep_envs.errors import InvalidDocumentError, UsageError


def test_the_registry_in_use_is_checked_by_default(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(registry))
    assert validate_file(None).path == str(registry)


def test_validating(registry: Path, tmp_path: Path) -> None:
    report = validate_file(registry)
    assert report.model_count == 2
    assert [warning.path for warning in report.warnings] == ["models[1].mood"]
    registry.write_text(registry.read_text("utf-8").replace('"other"', '"Other"'), encoding="utf-8")
    with pytest.raises(InvalidDocumentError) as wrong:
        validate_file(registry)
    assert [problem.path for problem in wrong.value.problems] == ["models[1].id"]
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
