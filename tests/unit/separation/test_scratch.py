"""Scratch folders of sessions that live, end, fail and are killed, several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unprivileged import unprivileged

from stemsep_envs.errors import UsageError
from stemsep_envs.host.locks import hold
from stemsep_envs.host.paths import Home
from stemsep_envs.separation.scratch import parent_of_scratch, session_scratch

LIVES = """
import pathlib, sys
from stemsep_envs.separation.scratch import session_scratch
with session_scratch(pathlib.Path(sys.argv[1])) as scratch:
    (scratch.work_dir / "half.wav").write_bytes(b"x")
    print(scratch.work_dir, flush=True)
    sys.stdin.read()
"""

COMES_AND_GOES = """
import pathlib, sys
from stemsep_envs.separation.scratch import session_scratch
for _ in range(60):
    with session_scratch(pathlib.Path(sys.argv[1])) as scratch:
        (scratch.work_dir / "0.wav").write_bytes(b"x")
        (scratch.work_dir / "0.wav").rename(scratch.taken_dir / "0.wav")
"""


def living(parent: Path) -> tuple[subprocess.Popen[bytes], Path]:
    command = [sys.executable, "-c", LIVES, str(parent)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    return child, Path(os.fsdecode(child.stdout.readline().rstrip(b"\n")))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_is_private_and_goes(tmp_path: Path) -> None:
    with session_scratch(tmp_path / "new") as scratch:
        (scratch.work_dir / "file").touch()
        assert scratch.work_dir.parent.stat().st_mode & 0o777 == 0o700
        assert scratch.taken_dir.is_dir()
        assert all(name.startswith(".") for name in names(tmp_path / "new"))
    assert names(tmp_path / "new") == set()


def fails(parent: Path) -> None:
    with session_scratch(parent):
        raise KeyError("what happened")


def test_it_goes_when_the_session_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="what happened"):
        fails(tmp_path)
    assert names(tmp_path) == set()


def test_what_a_killed_session_left_goes_and_a_living_one_stays(tmp_path: Path) -> None:
    killed, left = living(tmp_path)
    alive, kept = living(tmp_path)
    with killed, alive:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "half.wav").exists()
        with session_scratch(tmp_path):
            assert not left.exists()
            assert (kept / "half.wav").exists()
        assert alive.stdin is not None
        alive.stdin.close()
        assert alive.wait() == 0
    assert names(tmp_path) == set()


def test_worker_starts_in_an_empty_folder(tmp_path: Path) -> None:
    with session_scratch(tmp_path) as scratch:
        (scratch.work_dir / "tmp").touch()
        (scratch.work_dir / "cache").symlink_to(tmp_path)
        scratch.renew_work()
        assert names(scratch.work_dir) == set()
        assert names(scratch.work_dir.parent) == {"hold", "work", "inputs", "taken"}
        scratch.work_dir.rmdir()
        scratch.renew_work()
        assert names(scratch.work_dir) == set()


@pytest.mark.parametrize(
    ("output", "beside"), [("/dev/shm/out", False), ("/proc/self/cwd/out", False), ("out", True), ("/srv/out", True)]
)
def test_it_is_where_a_worker_can_be_shown_it(tmp_path: Path, output: str, *, beside: bool) -> None:
    home = Home(tmp_path / "home")
    expected = Path(output) if beside else home.cache_dir / "scratch"
    assert parent_of_scratch(Path(output), home) == expected


def test_scratch_is_not_where_no_worker_can_be_shown_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (tmp_path / "link").symlink_to("/dev/shm")
    assert parent_of_scratch(tmp_path / "link" / "out", home) == home.cache_dir / "scratch"


def test_sessions_that_come_and_go_do_not_disturb_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMES_AND_GOES, str(tmp_path)]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert names(tmp_path) == set()


def test_only_old_folders_without_a_hold_go(tmp_path: Path) -> None:
    (tmp_path / ".stemsep-env-1-new").mkdir()
    (tmp_path / ".stemsep-env-1-old").mkdir()
    os.utime(tmp_path / ".stemsep-env-1-old", (0, 0))
    with session_scratch(tmp_path):
        pass
    assert names(tmp_path) == {".stemsep-env-1-new"}


def test_nothing_of_the_users_goes(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "hold").write_bytes(b"precious")
    (tmp_path / ".stemsep-env-link").symlink_to(precious)
    (tmp_path / ".stemsep-env-file").touch()
    os.utime(tmp_path / ".stemsep-env-file", (0, 0))
    with session_scratch(tmp_path):
        pass
    assert names(tmp_path) == {"precious", ".stemsep-env-link", ".stemsep-env-file"}
    assert (precious / "hold").read_bytes() == b"precious"


def test_held_folders_of_this_process_stay(tmp_path: Path) -> None:
    other = tmp_path / ".stemsep-env-other"
    with hold(other / "hold"), session_scratch(tmp_path):
        assert other.is_dir()


def test_a_place_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for parent in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError):
            session_scratch(parent).__enter__()
    with unprivileged() as folder:
        folder.chmod(0o500)
        with pytest.raises(UsageError, match="permission denied"):
            session_scratch(folder).__enter__()
