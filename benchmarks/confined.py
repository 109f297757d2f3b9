"""Run by the installed package's interpreter: times what is confined against the same unconfined; answers in JSON.

confined.py starts ROUNDS LEVEL...                start and end of a bare interpreter, and why levels are not available
confined.py work ROUNDS PYTHON SCRIPT             seconds that SCRIPT says it took, by what it calls them
confined.py convert ROUNDS CHECKPOINT FOLDER      a checkpoint, as a model's is before it is loaded

Where this machine cannot do it at all, the answer is ``{"not_possible": REASON}``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from stemsep_envs.errors import BlockedError
from stemsep_envs.host.command import Command
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.paths import INSIDE_DIR, Home, find_home
from stemsep_envs.host.processes import run
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.provisioning.conversion import convert_checkpoint
from stemsep_envs.sandbox.levels import level_named, measured
from stemsep_envs.sandbox.policy import LevelName, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ


def starts(rounds: int, *levels: LevelName) -> dict[str, Any]:
    """Start and end a bare interpreter, plain and at each level, in turns."""
    missing = _missing(levels)
    times: dict[str, list[float]] = {name: [] for name in ("plain", *levels) if name not in missing}
    argv = (sys.executable, "-I", "-S", "-c", "pass")
    with scratch_dir(Path("/tmp"), "bench-confined-") as folder:
        policy = Policy(interpreter_dirs(), folder, worker_environ(folder, keep_memory=False))
        for _ in range(rounds + 1):
            for name, kept in times.items():
                kept.append(_timed(name, argv, policy))
    return {"seconds": {name: kept[1:] for name, kept in times.items()}, "missing": missing}


def _missing(levels: tuple[LevelName, ...]) -> dict[str, str]:
    """Say why levels are not available on this machine."""
    found = measured(levels, find_home().cache_dir)
    return {
        name: f"the sandbox level {name} is not available: {measurement.reason}"
        for name, measurement in found.items()
        if not measurement.available
    }


def _timed(name: str, argv: tuple[str, ...], policy: Policy) -> float:
    began = time.perf_counter()
    _run(name, argv, policy)
    return time.perf_counter() - began


def _run(name: str, argv: tuple[str, ...], policy: Policy) -> str:
    plain = nullcontext(Command(argv, dict(policy.env), policy.writable_dir))
    with plain if name == "plain" else level_named(name).confine(argv, policy) as command:
        done = run(command, timeout_seconds=600)
    if done.status != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def work(rounds: int, python: str, script: str) -> dict[str, Any]:
    """Run a script that prints its seconds, plain and confined, in turns."""
    for reason in _missing(("namespaces",)).values():
        return {"not_possible": reason}
    sides: dict[str, list[dict[str, float]]] = {"plain": [], "namespaces": []}
    with scratch_dir(Path("/tmp"), "bench-confined-") as folder:
        interpreter = Path(python)
        readable = (interpreter.parents[1], interpreter.resolve().parents[1], Path(script))
        policy = Policy(readable, folder, worker_environ(folder, keep_memory=True))
        for _ in range(rounds):
            for name, kept in sides.items():
                kept.append(json.loads(_run(name, (python, "-I", "-B", script), policy)))
    return sides


def convert(rounds: int, checkpoint: str, folder: str) -> dict[str, Any]:
    """Convert a checkpoint confined, with all that goes with it, and once by itself for its memory."""
    path = Path(checkpoint)
    sha256, size = sha256_of(path)
    seconds = []
    for _ in range(rounds):
        home = Home(Path(folder) / "home")
        began = time.perf_counter()
        try:
            made = convert_checkpoint(home, path, sha256, size, path.name, lambda *_: None)
        except BlockedError as error:
            return {"not_possible": error.message}
        seconds.append(time.perf_counter() - began)
        shutil.copyfile(made.path, Path(folder) / "converted.safetensors")
        shutil.rmtree(home.root)
    output = Path(folder) / "alone.safetensors"
    argv = [sys.executable, "-I", "-S", str(INSIDE_DIR / "convert.py"), checkpoint, str(output)]
    _, status, used = os.wait4(subprocess.Popen(argv).pid, 0)
    output.unlink()
    return {"seconds": seconds, "bytes": size, "peak_bytes": used.ru_maxrss * 1024, "status": status}


if __name__ == "__main__":
    verbs: dict[str, Callable[..., dict[str, Any]]] = {"starts": starts, "work": work, "convert": convert}
    print(json.dumps(verbs[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])))
