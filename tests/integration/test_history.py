"""Whatever many processes did to a home at once, and whichever of them were killed: what it lists is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT
from tests.integration import tiny

from stemsep_envs.environments import environment_store
from stemsep_envs.environments.gc import Rules, collect
from stemsep_envs.environments.repairing import repair
from stemsep_envs.environments.verifying import verify
from stemsep_envs.host.paths import Home

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does"),
]

SECONDS = float(os.environ.get("STEMSEP_TEST_HISTORY_SECONDS", "40"))
SEED = int(os.environ.get("STEMSEP_TEST_HISTORY_SEED", "1"))
AT_ONCE = 4
QUIET_ACTIONS = ("ensure", "ensure", "use", "use", "remove", "gc", "repair")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tiny.offer_wheels(tmp_path, monkeypatch)


def started(home: Home, wheels: Path, action: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.tiny", home.root, wheels, action, name],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(child: subprocess.Popen[str], *, killed: bool) -> str:
    """Wait for a child; one that was not killed must have had an answer."""
    out, err = child.communicate(timeout=120)
    assert killed or (child.returncode == 0 and "Traceback" not in err), (child.args, child.returncode, out, err)
    return out


def kill(child: subprocess.Popen[str], *, with_children: bool) -> None:
    if child.poll() is None:
        (os.killpg if with_children else os.kill)(child.pid, signal.SIGKILL)


def test_after_any_history_all_that_is_listed_verifies(tmp_path: Path, wheels: Path) -> None:
    chance = random.Random(SEED)
    home = Home(tmp_path / "home")
    until = time.monotonic() + SECONDS
    done: list[str] = []
    while time.monotonic() < until:
        moves = [(chance.choice(QUIET_ACTIONS), chance.choice(list(tiny.ENVIRONMENTS))) for _ in range(AT_ONCE)]
        doomed = {number for number in range(AT_ONCE) if chance.random() < 0.4}
        children = [started(home, wheels, action, name) for action, name in moves]
        for number in sorted(doomed):
            time.sleep(chance.uniform(0.1, 0.6))
            kill(children[number], with_children=chance.random() < 0.5)
        for number, child in enumerate(children):
            done.append(finished(child, killed=number in doomed))
        for item in environment_store.list_environments(home):
            assert item.problem is None, (SEED, moves, item)
            assert verify(home, item.digest).differences == (), (SEED, moves)
    assert len(done) >= AT_ONCE
    collect(home, Rules(), served=(), dry_run=False)
    assert not [path.name for path in home.environments_dir.iterdir() if path.name.startswith(".")]
    for name in tiny.ENVIRONMENTS:
        assert verify(home, tiny.ensured(home, wheels, name).digest).differences == ()


def test_after_damage_too_once_it_is_repaired(tmp_path: Path, wheels: Path) -> None:
    chance = random.Random(SEED + 1)
    home = Home(tmp_path / "home")
    until = time.monotonic() + SECONDS / 4
    while time.monotonic() < until:
        actions = [chance.choice(("ensure", "spoil", "use", "repair")) for _ in range(AT_ONCE - 1)]
        children = [started(home, wheels, action, chance.choice(list(tiny.ENVIRONMENTS))) for action in actions]
        time.sleep(chance.uniform(0.1, 0.6))
        kill(children[0], with_children=True)
        for number, child in enumerate(children):
            child.communicate(timeout=120)
            # A cache that is written to while it is built from twice over is refused, in words.
            assert number == 0 or child.returncode in {0, 1}
    for item in environment_store.list_environments(home):
        if verify(home, item.digest).differences:
            repair(home, item.digest, offline=False, report=tiny.silent)
    for item in environment_store.list_environments(home):
        assert item.problem is None
        assert verify(home, item.digest).differences == ()
        (late,) = item.dir.glob("venv/lib/python3.*/site-packages/alpha/late.py")
        assert b"spoiled" not in late.read_bytes()


def test_of_sixteen_at_once_one_builds(tmp_path: Path, wheels: Path) -> None:
    home = Home(tmp_path / "home")
    children = [started(home, wheels, "ensure", "one") for _ in range(16)]
    said = sorted(finished(child, killed=False).strip() for child in children)
    assert said == ["built"] + ["reused"] * 15


@pytest.mark.parametrize("action", ["ensure", "repair", "remove", "gc"])
def test_killed_at_any_point(tmp_path: Path, wheels: Path, action: str) -> None:
    home = Home(tmp_path / "home")
    tiny.ensured(home, wheels, "three")
    digest = tiny.planned(home, wheels, "one").digest or ""
    for step in range(6):
        if action != "ensure":
            tiny.ensured(home, wheels, "one")
        if action == "repair":
            tiny.spoil(home, wheels, "one")
        child = started(home, wheels, action, "one")
        time.sleep(0.15 + 0.12 * step)
        kill(child, with_children=bool(step % 2))
        child.communicate()
        stored = {item.digest: item for item in environment_store.list_environments(home)}
        if digest in stored and stored[digest].problem is None and action != "repair":
            assert verify(home, digest).differences == ()
        if action == "ensure":
            collect(home, Rules(max_age_seconds=0), served=(), dry_run=False)
    if verify(home, digest).differences:
        tiny.ensured(home, wheels, "one")
    assert verify(home, digest).differences == ()
    environment_store.clear_leftovers(home)
    assert not [path.name for path in home.environments_dir.iterdir() if path.name.startswith(".")]
