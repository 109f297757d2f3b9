"""What users would do without us: the same lock with uv alone, the same resolution with ``uv pip compile``."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import timed
from benchmarks.place import Place

BUILD = "uv venv && uv pip sync LOCK && python -I -c 'import ...' && uv pip check"


@dataclass(frozen=True)
class Build:
    """The commands that make an environment of the lock of the one that is here, with the same health check.

    Attributes:
        venv: Where it is made.
        steps: The commands, in order.
        link_mode: How uv shares files, as in ours.
    """

    venv: Path
    steps: tuple[list[str], ...]
    link_mode: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return _python_in(self.venv)

    def make(self, env: dict[str, str]) -> float:
        """Build it anew; return the seconds that the commands took."""
        shutil.rmtree(self.venv.parent, ignore_errors=True)
        self.venv.parent.mkdir()
        return sum(timed(argv, env) for argv in self.steps)


def build_of(place: Place) -> Build:
    """Return how the environment that is here would be built by hand."""
    receipt = place.receipt()
    lock = place.dir / "by-hand-lock.txt"
    shutil.copyfile(place.environment() / "lock.txt", lock)
    link_mode = receipt["builder"]["link_mode"]
    venv = place.dir / "by-hand" / "venv"
    python = str(_python_in(venv))
    imports = "; ".join(f"import {name}" for name in receipt["health"]["imports"])
    steps = (
        [place.uv, "venv", "--quiet", "--no-project", "--python", receipt["base_interpreter"]["path"], str(venv)],
        [
            *(place.uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:"),
            *("--link-mode", link_mode, "--python", python, str(lock)),
        ],
        [python, "-I", "-c", imports],
        [place.uv, "pip", "check", "--quiet", "--python", python],
    )
    return Build(venv, steps, link_mode)


def resolution_of(place: Place) -> list[str]:
    """Return the command that resolves anew, offline, what the environment that is here was locked from.

    It is told which build of torch to take, where there is one.
    """
    text = (place.environment() / "lock.txt").read_text("utf-8")
    wanted, pins = place.dir / "by-hand.in", place.dir / "by-hand-pins.txt"
    wanted.write_text("".join(f"{line}\n" for line in re.findall(r"^# requires: (.+)$", text, re.MULTILINE)))
    pins.write_text("".join(f"{pin}\n" for pin in re.findall(r"^torch==\S+", text, re.MULTILINE)))
    return [
        *(place.uv, "pip", "compile", "--offline", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
        *("--only-binary", ":all:", "--python-platform", "x86_64-manylinux_2_28", "--python", place.python),
        *("--python-version", place.environment_python()),
        *("--constraints", str(pins), "--output-file", str(place.dir / "by-hand-compiled.txt"), str(wanted)),
    ]


def _python_in(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
