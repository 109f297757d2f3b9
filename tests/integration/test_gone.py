"""Environments and scratch folders whose owners, or users, were taken away in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.conftest import Cli
from tests.integration.tiny import ensured, offer_wheels, planned

from stemsep_envs.environments import environment_store, gc
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.host import fsync
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.plan import PlanOptions, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.environment import ensure_planned
from stemsep_envs.separation.opening import open_planned

pytestmark = [pytest.mark.integration]

KILLED = """
import pathlib, sys
from stemsep_envs.separation.scratch import session_scratch
from stemsep_envs.host.paths import find_home
with session_scratch(pathlib.Path(sys.argv[1]), home=find_home()) as scratch:
    (scratch.work_dir / "half.wav").write_bytes(b"x")
    print("ready", flush=True)
    sys.stdin.read()
"""


def killed_session(parent: Path, environ: Mapping[str, str]) -> Path:
    """Kill a process that has a scratch folder; return the folder."""
    command = [sys.executable, "-c", KILLED, str(parent)]
    child = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (left,) = parent.iterdir()
    return left


def noted_folders(home: Path) -> set[Path]:
    """Return where sessions of a home have their scratch, as it notes; other tests may run some at the same time."""
    found = set()
    for note in (home / "cache" / "sessions").glob("*.where"):
        with suppress(FileNotFoundError):
            found.add(Path(os.fsdecode(note.read_bytes())))
    return found


def test_environment_removed_before_use_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels, home = offer_wheels(tmp_path, monkeypatch), Home(tmp_path / "home")
    ensured(home, wheels, "one")
    plan = planned(home, wheels, "one")
    assert plan.state == "ready"
    gc.remove_environment(home, plan.digest or "")
    built = ensure_environment(plan, home=home)
    assert (built.reused, environment_store.problem_with(home, built.digest)) == (False, None)


def test_session_rebuilds_an_environment_removed_by_gc(
    empty_home: Path, environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environ, "STEMSEP_ENV_HOME": str(empty_home)}.items():
        monkeypatch.setenv(name, value)
    plan = refuse_if_blocked(plan_model("dsp-hpss", PlanOptions()))
    environment = ensure_planned(plan)
    gc.remove_environment(plan.home, environment.digest)
    with open_planned(plan, environment, scratch_parent=tmp_path / "scratch") as session:
        assert session.environment.digest == environment.digest
        assert environment_store.live_uses(plan.home, environment.digest) == 1
        assert "harmonic" in session.stems


def test_the_contents_are_on_the_disk_before_there_is_a_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, home = offer_wheels(tmp_path, monkeypatch), Home(tmp_path / "home")
    seen: list[tuple[bool, bool]] = []

    def look(folder: Path) -> None:
        installed = bool(list(folder.glob("venv/lib/python3.*/site-packages/alpha/__pycache__/*.pyc")))
        seen.append((installed, (folder / environment_store.RECEIPT).exists()))
        flush(folder)

    flush = fsync._flush_file_system
    monkeypatch.setattr(fsync, "_flush_file_system", look)
    ensured(home, wheels, "one")
    assert seen == [(True, False)]


def test_leftovers_of_a_killed_session_go_with_the_next(
    cli: Cli, tmp_path: Path, song: Path, environ: Mapping[str, str]
) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    left = killed_session(elsewhere, environ)
    advice = [item["message"] for item in cli("doctor", "--json").document("doctor")["advice"]]
    assert f"a session that was killed left {left}" in advice
    assert elsewhere in noted_folders(Path(environ["STEMSEP_ENV_HOME"]))
    assert cli("run", "dsp-hpss", song, "-o", "out").code == 0
    assert list(elsewhere.iterdir()) == []
    assert elsewhere not in noted_folders(Path(environ["STEMSEP_ENV_HOME"]))


def test_collecting_removes_what_killed_sessions_left(
    cli: Cli, tmp_path: Path, environ: Mapping[str, str], empty_home: Path
) -> None:
    environ = {**environ, "STEMSEP_ENV_HOME": str(empty_home)}
    cli = replace(cli, environ=environ)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    left = killed_session(elsewhere, environ)
    shown = cli("env", "gc", "--dry-run", "--json").document("env.gc")
    assert [item["name"] for item in shown["removed"]] == [str(left)]
    assert left.is_dir()
    removed = cli("env", "gc", "--json").document("env.gc")["removed"]
    assert [item["name"] for item in removed] == [str(left)]
    assert list(elsewhere.iterdir()) == []
    assert cli("env", "gc", "--json").document("env.gc")["removed"] == []


def test_a_living_session_keeps_its_scratch(tmp_path: Path, environ: Mapping[str, str], cli: Cli) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-living"
    elsewhere.mkdir()
    command = [sys.executable, "-c", KILLED, str(elsewhere)]
    child = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        cli("env", "gc")
        assert len(list(elsewhere.iterdir())) == 1
    finally:
        child.communicate(b"")
    assert list(elsewhere.iterdir()) == []
