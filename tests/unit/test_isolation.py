"""The tests' own guard holds: what the package takes for the user's folders lies in this test's temporary one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from tests import conftest

from stemsep_envs.host.paths import find_home


def test_home_is_this_tests_own(isolated: Path) -> None:
    assert find_home().root == isolated
    assert not isolated.exists()


def test_without_the_variable_it_is_still_temporary(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEMSEP_ENV_HOME")
    assert find_home().root.is_relative_to(isolated.parent)
    assert Path(platformdirs.user_cache_dir("stemsep-env")).is_relative_to(isolated.parent)
    assert Path.home() == isolated.parent


def test_nothing_of_the_users_settings_is_left() -> None:
    assert [name for name in os.environ if name.startswith("STEMSEP_")] == ["STEMSEP_ENV_HOME"]


def test_children_are_sent_there_too(isolated: Path) -> None:
    code = "from stemsep_envs.host.paths import find_home; print(find_home().root)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == isolated


def test_reaching_for_the_real_home_ends_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conftest, "_REAL_PLACES", (str(tmp_path / "real"),))
    for change in (
        (tmp_path / "real").mkdir,
        lambda: (tmp_path / "real").write_text("x"),
        lambda: tmp_path.rename(tmp_path / "real"),
    ):
        with pytest.raises(pytest.exit.Exception, match="the real home"):
            change()
    assert not (tmp_path / "real").exists()
