"""Which builder: what was asked for, the variable, the configuration, or the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.builders import BUILDER_NAMES
from stemsep_envs.environments.builder_choice import VARIABLE, choose_builder
from stemsep_envs.environments.builders import TOOLS
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import Home


def test_every_builder_of_the_table_has_a_module() -> None:
    assert tuple(TOOLS) == BUILDER_NAMES


def test_what_is_asked_for_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert choose_builder(None, home=home) == "uv"
    (tmp_path / "config.toml").write_text('builder = "pip"\n')
    assert choose_builder(None, home=home) == "pip"
    monkeypatch.setenv(VARIABLE, "uv")
    assert choose_builder(None, home=home) == "uv"
    assert choose_builder("pip", home=home) == "pip"


def test_a_variable_that_names_no_builder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "conda")
    with pytest.raises(UsageError, match="write uv or pip"):
        choose_builder(None, home=Home(tmp_path))
