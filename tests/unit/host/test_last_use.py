"""The time of last use is kept where it can be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stemsep_envs.host.last_use import record_use
from stemsep_envs.host.tree_removal import remove_file

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_recording_a_use_never_fails(tmp_path: Path) -> None:
    record_use(tmp_path / "new")
    assert (tmp_path / "new").exists()
    record_use(tmp_path / "none" / "new")
    remove_file(tmp_path / "none")
