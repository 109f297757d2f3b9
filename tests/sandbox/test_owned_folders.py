"""A folder that root makes for a living worker, which puts a link in the place of whatever appears in its own."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox.arena import Said

from stemsep_envs.host.child_process import start
from stemsep_envs.host.folders import make_owned_dir
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import LevelName, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or platform.machine() not in {"x86_64", "aarch64"},
    reason="only root on Linux gives files away",
)

EXCHANGES = """
import ctypes, os, platform, sys
call, number = ctypes.CDLL(None).syscall, {"x86_64": 316, "aarch64": 276}[platform.machine()]
os.chmod(".", 0o700)
links = [f"link{index}" for index in range(300)]
for link in links:
    os.symlink(sys.argv[1], link)
known, listed = set(os.listdir(".")), os.listdir
print("ready", flush=True)
while True:
    for name in listed("."):
        if name not in known:
            call(number, -100, links.pop().encode(), -100, name.encode(), 2)
            known.add(name)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch_dir(Path("/tmp"), "stemsep-env-owned-") as folder:
        folder.chmod(0o755)
        for name in ("work", "ours"):
            (folder / name).mkdir()
        (folder / "victim").write_bytes(b"precious")
        yield folder


def test_nothing_else_is_given_to_the_worker(level: LevelName, place: Path) -> None:
    work, victim = place / "work", place / "victim"
    policy = Policy(interpreter_dirs(), work, worker_environ(work, keep_memory=False))
    argv = (sys.executable, "-I", "-S", "-c", EXCHANGES, str(victim))
    with level_named(level).confine(argv, policy) as command:
        said = Said()
        child = start(command, on_stdout=said)
        try:
            assert said.line() == "ready\n"
            made = [make_owned_dir(work, ours=place / "ours") for _ in range(200)]
            owner = work.stat().st_uid
        finally:
            child.kill_tree()
    assert owner != 0
    assert (victim.stat().st_uid, victim.stat().st_gid) == (0, 0)
    assert len({path.name for path in made}) == 200
