"""Control groups that a killed host left, as files in a folder: few test machines let real ones be made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
if sys.platform == "linux":
    from stemsep_envs.sandbox import cgroups


def test_what_is_left_in_the_groups_of_dead_hosts_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = cgroups._process_numbers()
    abandoned = tmp_path / f"stemsep-env-{gone.pid}-{here}-aa"
    for folder in (
        abandoned,
        tmp_path / f"stemsep-env-{os.getpid()}-{here}-bb",  # its host lives
        tmp_path / f"stemsep-env-{gone.pid}-{int(here) + 1}-cc",  # its host has its number elsewhere
        tmp_path / f"other-{gone.pid}-{here}-dd",
    ):
        folder.mkdir()
    ended: list[str] = []
    monkeypatch.setattr(cgroups, "kill_groups", ended.extend)
    cgroups._sweep(tmp_path)
    assert ended == [str(abandoned)]
