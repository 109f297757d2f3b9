"""Scratch folders go, whatever happens; what killed processes left is swept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.host.conftest import names_in
from tests.unprivileged import unprivileged

from stemsep_envs.errors import UsageError
from stemsep_envs.host.scratch_dirs import scratch_dir, sweep_scratch

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_a_scratch_folder_is_private_and_goes_whatever_happens(tmp_path: Path) -> None:
    def use() -> None:
        with scratch_dir(tmp_path / "new", "s-") as scratch:
            assert scratch.stat().st_mode & 0o777 == 0o700
            (scratch / "deep").mkdir()
            (scratch / "deep" / "file").touch()
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert names_in(tmp_path / "new") == set()


def test_a_scratch_folder_that_someone_removed_is_fine(tmp_path: Path) -> None:
    with scratch_dir(tmp_path, "s-") as scratch:
        scratch.rmdir()


@linux
def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = {f"s-{os.getpid()}-aa", f"s-{gone.pid}-new", f"t-{gone.pid}-aa", "s-x-aa", f"s-{gone.pid}-link"}
    for name in (*kept - {f"s-{gone.pid}-link"}, f"s-{gone.pid}-aa"):
        (tmp_path / name / "inner").mkdir(parents=True)
        if not name.endswith("-new"):
            os.utime(tmp_path / name, (1, 1))
    (tmp_path / f"s-{gone.pid}-link").symlink_to(tmp_path / "s-x-aa")
    sweep_scratch(tmp_path, "s-")
    assert names_in(tmp_path) == kept


def test_what_cannot_be_removed_does_not_hide_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    def use(parent: Path) -> None:
        with scratch_dir(parent, "s-"):
            parent.chmod(0o500)
            raise KeyError("what happened")

    with unprivileged() as folder:
        with pytest.raises(KeyError, match="what happened"):
            use(folder)
        assert folder.stat().st_mode & 0o777 == 0o500
    assert "cannot remove" in caplog.text


@pytest.mark.parametrize("parent", ["file", "file/deeper"])
def test_a_scratch_folder_below_a_file(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        scratch_dir(tmp_path / parent, "s-").__enter__()
