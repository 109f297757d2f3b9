"""Where is measured: the package installed from its wheel in a clean environment, a home of its own, a song."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from uv import find_uv_bin

from benchmarks.measure import output_of, timed

ROOT = Path(__file__).resolve().parents[1]
MODEL = "dsp-hpss"
SONG_SECONDS = 10
_RATE = 44100
_SETTLE_SECONDS = 2.5


@dataclass(frozen=True)
class Place:
    """What the rows need.

    Attributes:
        dir: A scratch folder on the file system of the package cache.
        home: ``$STEMSEP_ENV_HOME``; no environment is built before a row asks.
        tool: The installed command.
        python: The interpreter of that installation.
        uv: The uv of that installation.
        package: The installed package's folder.
        env: The environment of every process that is measured.
        quick: Whether fewer rounds are wanted.
    """

    dir: Path
    home: Path
    tool: str
    python: str
    uv: str
    package: Path
    env: dict[str, str]
    quick: bool

    def rounds(self, n: int) -> int:
        """Return how many pairs to time."""
        return max(3, n // 4) if self.quick else n

    def remove_environments(self) -> None:
        """Make the next build a real one; interpreters, locks and the package cache stay known."""
        shutil.rmtree(self.home / "environments", ignore_errors=True)

    def environment(self) -> Path:
        """Return the folder of the one environment that is there."""
        (receipt,) = self.home.glob("environments/*/receipt.json")
        return receipt.parent

    def receipt(self) -> dict[str, Any]:
        """Return the receipt of that environment."""
        receipt: dict[str, Any] = json.loads((self.environment() / "receipt.json").read_bytes())
        return receipt

    def environment_python(self) -> str:
        """Return the Python minor of that environment: ``3.11``."""
        version: str = self.receipt()["inputs"]["interpreter"]["version"]
        return ".".join(version.split(".")[:2])

    def ensure(self, model: str = MODEL, **variables: str) -> None:
        """Build what is missing, and have it remembered."""
        timed([self.tool, "ensure", model], {**self.env, **variables})

    def registry(self) -> dict[str, Any]:
        """Return the registry that the package ships."""
        document: dict[str, Any] = json.loads((self.package / "_data/registry/models.v2.source.json").read_bytes())
        return document

    def song(self, seconds: int = SONG_SECONDS, name: str = "song") -> Path:
        """Return a stereo file: chords and clicks over noise, 16 bits."""
        path = self.dir / f"{name}-{seconds}.wav"
        if not path.exists():
            _write_song(path, seconds)
        return path


@contextmanager
def prepared_place(*, quick: bool) -> Iterator[Place]:
    """Install the package from its wheel; all that is made here is gone at the end."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or ROOT / ".cache" / "uv")
    folder = cache.parent / f"bench-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("STEMSEP_ENV_", "PYTHON"))}
        env |= {"UV_CACHE_DIR": str(cache), "STEMSEP_ENV_HOME": str(folder / "home")}
        env.pop("VIRTUAL_ENV", None)
        python = _install(folder, env)
        scripts = python.parent
        where = output_of([str(python), "-c", "import stemsep_envs; print(stemsep_envs.__path__[0])"], env)
        place = Place(
            dir=folder,
            home=folder / "home",
            tool=str(scripts / "stemsep-env"),
            python=str(python),
            uv=str(scripts / "uv"),
            package=Path(where.strip()),
            env=env,
            quick=quick,
        )
        time.sleep(_SETTLE_SECONDS)  # what changed just now is not remembered yet
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(folder: Path, env: dict[str, str]) -> Path:
    """Install the wheel, with its bytecode as an installer leaves it; return the interpreter."""
    uv, venv, wheels = find_uv_bin(), folder / "venv", folder / "wheel"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for argv in (
        [uv, "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(ROOT)],
        [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(venv)],
    ):
        output_of(argv, env)
    (wheel,) = wheels.glob("*.whl")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), str(wheel)]
    output_of(install, env)
    return python


def _write_song(path: Path, seconds: int) -> None:
    times = np.arange(seconds * _RATE) / _RATE
    rng = np.random.default_rng(1)
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in (220.0, 277.2, 329.6)) / 6
    clicks = rng.standard_normal(times.size) * np.exp(-40 * (times % 0.5)) / 4
    audio = np.stack([chord + clicks, 0.8 * chord - clicks / 2], axis=1)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(2)
        stream.setsampwidth(2)
        stream.setframerate(_RATE)
        stream.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
