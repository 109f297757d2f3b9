"""How environments are joined to the package cache: what overrides, and what the built files show."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.environment import Size
from stemsep_envs.environments import linking
from stemsep_envs.environments.linking import VARIABLE, choose_for, choose_link_mode, mode_found
from stemsep_envs.errors import UsageError


@pytest.mark.parametrize("mode", ["clone", "hardlink", "copy"])
def test_the_variable_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv(VARIABLE, mode)
    assert choose_link_mode(tmp_path, tmp_path).mode == mode


def test_a_variable_that_names_no_mode_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "symlink")
    with pytest.raises(UsageError, match="write auto, clone, hardlink or copy"):
        choose_link_mode(tmp_path, tmp_path)


@pytest.mark.parametrize(("clones", "mode"), [(True, "clone"), (False, "hardlink")])
def test_the_file_system_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clones: bool, mode: str) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(linking, "can_clone", lambda _, __: clones)
    assert choose_for("uv", tmp_path, tmp_path).mode == mode


def test_pip_joins_nothing(tmp_path: Path) -> None:
    choice = choose_for("pip", tmp_path, tmp_path)
    assert (choice.mode, choice.why) == ("copy", "pip unpacks every file anew")


@pytest.mark.parametrize(
    ("asked", "shared_bytes", "found"),
    [("hardlink", 10, "hardlink"), ("hardlink", 0, "copy"), ("clone", 0, "clone"), ("copy", 10, "hardlink")],
)
def test_files_with_several_links_give_the_mode_away(asked: str, shared_bytes: int, found: str) -> None:
    assert mode_found(asked, Size(files=1, bytes=20, shared_bytes=shared_bytes)) == found
