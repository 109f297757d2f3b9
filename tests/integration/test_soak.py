"""A thousand requests through one session, with cancels and crashes at random: nothing is left of any of it."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsep_envs import Deadlines, PlanOptions
from stemsep_envs.commands.api import Session
from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError, StemsepEnvError
from stemsep_envs.planning.plan import Plan, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.environment import ensure_planned
from stemsep_envs.registry.recipes import Runtime
from stemsep_envs.sandbox.policy import LevelName
from stemsep_envs.separation.opening import open_planned

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="what is counted is Linux's"),
    pytest.mark.xdist_group("soak"),  # it counts what the machine holds
]

ADAPTER = """
import os, signal, subprocess, sys, tempfile, threading, time
import numpy as np

BEHAVIOURS = ("good", "fail", "wait", "abort", "kill", "exit", "daemon", "litter", "deaf")

def describe():
    return {"packages": [], "devices": ["cpu"]}

def load(request, context):
    return Model()

class Model:
    stems = ["harmonic", "percussive"]
    sample_rate = None
    channels = [1, 2]
    settings = {}

    def separate(self, source, sinks, context):
        audio = source.read_all()
        behave(BEHAVIOURS[len(audio) - 1000], context)
        for sink in sinks.values():
            sink.write(audio)

def behave(how, context):
    if how == "fail":
        raise RuntimeError("as it must")
    if how == "wait":
        context.progress(1, 2)
        while True:
            context.check_cancelled()
            time.sleep(0.002)
    if how == "abort":
        os.abort()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "daemon":
        if os.fork() == 0:
            try:
                os.setsid()
            except OSError:
                pass
            if os.fork() == 0:
                os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(300)", WORD], {})
            os._exit(0)
    if how == "litter":
        for number in range(20):
            open(os.path.join(os.environ["HOME"], "litter-%d-%d" % (os.getpid(), number)), "wb").write(bytes(1000))
            tempfile.mkdtemp()
            threading.Thread(target=time.sleep, args=(300,), daemon=True).start() if number == 0 else None
        os.abort()
    if how == "deaf":
        context.progress(1, 2)
        time.sleep(300)
"""
BEHAVIOURS = ("good", "fail", "wait", "abort", "kill", "exit", "daemon", "litter", "deaf")
DEADLINES = Deadlines(start_seconds=120, load_seconds=120, silence_seconds=120, cancel_seconds=0.5)
CRASHES = ("abort", "kill", "exit", "litter")


@pytest.fixture
def home(dsp_home: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in set(os.environ) - set(environ) - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return dsp_home


def planned(tmp_path: Path, level: LevelName, word: str) -> Plan:
    """dsp-hpss, whose adapter is replaced by one that misbehaves as the length of its input says."""
    plan = refuse_if_blocked(plan_model("dsp-hpss", PlanOptions(sandbox_level=level, allow_level=level)))
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / plan.runtime.recipe.adapter).write_text(f"WORD = {word!r}\n{ADAPTER}")
    return replace(plan, model=replace(plan.model, runtime=Runtime(folder, plan.runtime.recipe)))


def counted(word: str, folders: tuple[Path, ...]) -> Mapping[str, object]:
    """What a session could leave behind, as the machine has it now."""
    own = Path(f"/proc/{os.getpid()}/task")
    children = [name for task in own.iterdir() for name in (task / "children").read_text().split()]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "docker" not in line]
    return {
        "children": children,
        "processes": [path.name for path in Path("/proc").glob("[0-9]*") if _carries(path, word)],
        "threads": len(list(own.iterdir())),
        "descriptors": sorted(map(_descriptor, Path("/proc/self/fd").iterdir())),
        "mounts": mounts,
        "groups": [
            path.name for path in Path("/sys/fs/cgroup").glob("**/stemsep-env-*") if f"-{os.getpid()}-" in path.name
        ],
        "temporary": [path.name for path in Path("/tmp").iterdir() if f"stemsep-env-{os.getpid()}" in path.name],
        "files": sorted(str(path) for folder in folders for path in folder.rglob("*") if ".hold" not in path.name),
    }


def _carries(process: Path, word: str) -> bool:
    try:
        return word.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def _descriptor(place: Path) -> str:
    """What a descriptor is open on; pipes and the like by kind, as their numbers never repeat."""
    try:
        return str(place.readlink()).partition(":[")[0]
    except OSError:
        return "gone"  # the folder that was being listed


def soak(session: Session, songs: Mapping[str, Path], out: Path, count: int, seed: int) -> Counter[str]:
    """Ask for tracks of every kind in a random order; each must end as it should, and only so."""
    chance = random.Random(seed)
    ended: Counter[str] = Counter()
    previous = "good"
    for _ in range(count):
        common = chance.random() < 0.9
        how = chance.choice(("good", "good", "good", "fail", "wait", "daemon") if common else BEHAVIOURS)
        if previous in CRASHES and how in CRASHES:  # three in a row end the session, as another test holds
            how = "good"
        ended[_ask(session, songs, out, how, chance)] += 1
        previous = how
    return ended


def _ask(session: Session, songs: Mapping[str, Path], out: Path, how: str, chance: random.Random) -> str:
    cancelled = threading.Event()
    if how in ("wait", "deaf"):
        delay = 0.0 if chance.random() < 0.2 else chance.random() * 0.05
        threading.Timer(delay, cancelled.set).start()
    expected: dict[str, type[StemsepEnvError] | tuple[type[StemsepEnvError], ...]] = {
        "fail": ModelError,
        "wait": InterruptedRunError,
        "deaf": InterruptedRunError,
        **dict.fromkeys(CRASHES, ModelError),
        "kill": (ModelError, LimitError),  # it may have been for memory
    }
    try:
        track = session.separate(songs[how], out, overwrite=True, cancelled=cancelled)
    except StemsepEnvError as error:
        if not isinstance(error, expected.get(how, ())):
            raise
        return type(error).__name__
    assert how not in expected
    assert track.frames == len(soundfile.read(songs[how])[0])
    return "done"


@pytest.mark.parametrize(("level", "count"), [("namespaces", 1000), ("landlock", 150), ("hygiene", 150)])
def test_a_session_leaves_nothing(home: Path, tmp_path: Path, level: LevelName, count: int) -> None:
    word = f"soak-{os.getpid()}-{level}"
    songs = {}
    for number, how in enumerate(BEHAVIOURS):
        songs[how] = tmp_path / f"{how}.wav"
        soundfile.write(songs[how], 0.1 * np.ones((1000 + number, 2)), 8000)
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    plan = planned(tmp_path, level, word)
    environment = ensure_planned(plan)
    with open_planned(plan, environment, scratch_parent=scratch, deadlines=DEADLINES) as loaded:
        soak(Session(loaded), songs, out, 5, seed=0)  # whatever is made once and kept is made now
    before = counted(word, (scratch,))
    with open_planned(plan, environment, scratch_parent=scratch, deadlines=DEADLINES) as loaded:
        session = Session(loaded)
        soak(session, songs, out, count // 10, seed=1)
        _ask(session, songs, out, "good", random.Random(2))
        early = counted(word, ())
        ended = soak(session, songs, out, count, seed=3)
        _ask(session, songs, out, "good", random.Random(4))
        late = counted(word, ())
        assert {"done", "ModelError", "InterruptedRunError"} <= set(ended)
        assert sum(ended.values()) == count
        for what in ("threads", "descriptors", "mounts", "temporary"):
            assert (what, late[what]) == (what, early[what])
        assert len(late["groups"]) == len(early["groups"])  # type: ignore[arg-type]  # each worker has new ones
        assert len(late["children"]) == len(early["children"]) == 1  # type: ignore[arg-type]
    after = counted(word, (scratch,))
    for what, left in before.items():
        assert (what, after[what]) == (what, left)
    assert after["children"] == after["processes"] == []
    stems = {path.name for path in out.rglob("*") if path.is_file()}
    assert stems == {"harmonic.wav", "percussive.wav", "run.json"}
