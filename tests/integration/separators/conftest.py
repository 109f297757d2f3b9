"""What tests of runtimes with weights have in common: an environment built once, and models put in by hand."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from tests.integration.conftest import PROGRAM, Answer, Cli, noise

from stemsep_envs import PlanOptions, open_session
from stemsep_envs.documents.protocol import ProgressParams
from stemsep_envs.errors import InterruptedRunError

Audio = npt.NDArray[np.float32]
RATE = 44100


@dataclass(frozen=True)
class Workshop:
    """A home with the environment of a runtime, and entries of models for it.

    Attributes:
        runtime: The runtime.
        python: The environment's interpreter.
        home: Where it is.
        folder: A folder for what tests of this runtime share.
    """

    runtime: str
    python: Path
    home: Path
    folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def inside(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the environment, unconfined; it must succeed."""
        done = subprocess.run(
            [self.python, *arguments],
            env={
                "PATH": os.defpath,
                "HOME": str(self.folder),
                # Root could write into the environment.
                "PYTHONDONTWRITEBYTECODE": "1",
                "NUMBA_CACHE_DIR": str(self.folder / "numba"),
                **environ,
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout[-4000:], done.stderr[-4000:])
        return done

    def artifact(self, path: Path, *, kind: str = "checkpoint", filename: str | None = None) -> dict[str, Any]:
        """Put a file into the home; return its entry."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        blob = self.home / "artifacts" / "sha256" / digest[:2] / digest
        if not blob.exists():
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, blob.with_suffix(".new"))
            blob.with_suffix(".new").rename(blob)
        size = path.stat().st_size
        return {"kind": kind, "filename": filename or path.name, "sha256": digest, "size": size}


def entry(runtime: str, model_type: str, stems: list[str], artifacts: dict[str, Any]) -> dict[str, Any]:
    """A model's entry."""
    return {
        "id": "tiny",
        "name": "Tiny",
        "architecture": "Other",
        "links": {},
        "stems": stems,
        "capabilities": {"supports_mono": True, "supports_stereo": True},
        "runtime": {"allowed": [runtime], "preferred": runtime, "model_type": model_type},
        "artifacts": artifacts,
    }


def write_registry(path: Path, model: dict[str, Any]) -> Path:
    """A registry of one model."""
    document = {"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [model]}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def workshop(runtime: str, model_type: str, environ: Mapping[str, str], folder: Path) -> Workshop:
    """Build the environment of a runtime, or find it built, for a model without weights."""
    folder.mkdir(exist_ok=True)
    registry = write_registry(folder / "environment.json", entry(runtime, model_type, ["vocals"], {}))
    done = subprocess.run(
        [PROGRAM, "ensure", "tiny", "--registry", registry, "--json"],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = json.loads(done.stdout)["models"]
    return Workshop(runtime, Path(built["python"]), Path(environ["STEMSEP_ENV_HOME"]), folder, environ)


Separate = Callable[..., Answer]


@pytest.fixture
def separate(tmp_path: Path, environ: Mapping[str, str]) -> Separate:
    """Run the command line on an entry and a track; keyword arguments are settings; stems are in ``out``."""

    def run(model: dict[str, Any], song: Path, *options: str | Path, **settings: Any) -> Answer:
        registry = write_registry(tmp_path / "registry.json", model)
        chosen = [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]
        out = (
            "-o",
            tmp_path / "out",
            *(() if "--filename" in options else ("--filename", "{stem}")),
            "--existing",
            "overwrite",
            "--json",
        )
        return Cli(tmp_path, environ)("run", "tiny", song, "--registry", registry, *out, *chosen, *options)

    return run


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """A little more than a second of float audio that isn't near full scale, of a length that nothing divides."""
    path = tmp_path / "track.wav"
    soundfile.write(path, noise(1.237, rate=RATE, level=0.1).astype(np.float32), RATE, subtype="FLOAT")
    return path


def stems_in(folder: Path) -> dict[str, Audio]:
    """The samples of every file in a folder, by its name."""
    return {
        path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0]
        for path in folder.iterdir()
        if path.suffix == ".wav"
    }


def cancel_and_go_on(shop: Workshop, model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up a long track once it is on its way: the worker stays, and separates the next one."""
    for name, value in shop.environ.items():
        monkeypatch.setenv(name, value)
    for name, seconds in {"long": 60.0, "short": 1.0}.items():
        audio = noise(seconds, rate=RATE, level=0.1).astype(np.float32)
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE, subtype="FLOAT")
    registry = write_registry(tmp_path / "registry.json", model)
    cancelled = threading.Event()
    seen: list[int] = []

    def watch(progress: ProgressParams) -> None:
        seen.append(progress.done_frames)
        if len(seen) > 1:
            cancelled.set()

    with open_session("tiny", options=PlanOptions(registry_path=registry)) as session:
        with pytest.raises(InterruptedRunError):
            session.separate(tmp_path / "long.wav", tmp_path / "out", on_progress=watch, cancelled=cancelled)
        assert seen == sorted(seen)
        assert seen[-1] < 60 * RATE
        track = session.separate(tmp_path / "short.wav", tmp_path / "out")
        assert (track.status, track.frames) == ("done", RATE)
    assert not list((tmp_path / "out").rglob("*long*/*.wav"))
