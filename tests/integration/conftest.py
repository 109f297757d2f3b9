"""One environment of the dsp runtime, built once and shared by all of these tests, and the command line to use it."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sysconfig.get_path("scripts")) / ("stemsep-env.exe" if os.name == "nt" else "stemsep-env")
SHIPPED = CHECKOUT / "registry" / "models.v2.source.json"
LEFTOVER = ".stemsep-env-"

Audio = npt.NDArray[np.float64]
AnyPath = str | bytes | os.PathLike[str]


@cache
def schema(name: str) -> Mapping[str, Any]:
    """The published schema of a document."""
    loaded: Mapping[str, Any] = json.loads((CHECKOUT / "schemas" / f"{name}.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def valid(document: Any, name: str) -> Any:
    """Return a document that is valid against its schema."""
    wrong = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema(name)).iter_errors(document)
    ]
    assert not wrong, (wrong, document)
    return document


@dataclass(frozen=True)
class Answer:
    """What a command line answered."""

    code: int
    out: str
    err: str

    def document(self, name: str) -> Any:
        """The document on stdout: the only thing there, and valid against its schema."""
        return valid(json.loads(self.out), name)

    def error(self, code: str, exit_code: int) -> dict[str, Any]:
        """The error on stdout, which has this code and is what the process ended with."""
        body: dict[str, Any] = self.document("error")["error"]
        assert (body["code"], body["exit_code"], self.code) == (code, exit_code, exit_code), body
        return body

    def track(self) -> dict[str, Any]:
        """The only track of the record on stdout."""
        (track,) = self.document("run")["tracks"]
        return dict(track)


@dataclass(frozen=True)
class Cli:
    """The command line, as another program calls it: in a folder of its own, without a terminal."""

    cwd: Path
    environ: Mapping[str, str]
    prefix: Sequence[AnyPath] = (PROGRAM,)

    def __call__(self, *arguments: AnyPath, stdin: bytes = b"", cwd: Path | None = None, **environ: str) -> Answer:
        """Run it to its end. Whatever happens, no traceback is shown and no scratch folder stays."""
        done = subprocess.run(
            [*self.prefix, *arguments],
            cwd=cwd or self.cwd,
            env={**self.environ, **environ},
            input=stdin,
            capture_output=True,
            timeout=300,
            check=False,
        )
        answer = Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in answer.out + answer.err, answer
        assert answer.code != 3, answer
        assert leftovers(self.cwd) == [], answer
        return answer

    def start(self, *arguments: AnyPath, **environ: str) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own, as a shell does."""
        return subprocess.Popen(
            [*self.prefix, *arguments],
            cwd=self.cwd,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def leftovers(folder: Path) -> list[str]:
    """Scratch folders and temporary files below a folder."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in found if LEFTOVER in name or name.endswith((".tmp", ".part")))


def files_below(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def noise(seconds: float = 0.5, *, rate: int = 44100, channels: int = 2, level: float = 0.2, seed: int = 1) -> Audio:
    """A tone with clicks over some noise, different in each channel: both stems of it have something in them."""
    frames = max(1, round(seconds * rate))
    random = np.random.default_rng(seed)
    times = np.arange(frames) / rate
    audio = 0.02 * random.standard_normal((frames, channels))
    for channel in range(channels):
        audio[:, channel] += 0.5 * np.sin(2 * np.pi * 220 * (1 + channel / 7) * times)
    for start in range(0, frames, max(1, rate // 5)):
        audio[start : start + rate // 200] += random.standard_normal(audio[start : start + rate // 200].shape)
    scaled: Audio = audio * level
    return scaled


@pytest.fixture(scope="session")
def package_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package cache to use: this machine's, or one for all of these tests."""
    kept = CHECKOUT / ".cache" / "uv"
    return os.environ.get("UV_CACHE_DIR") or str(kept if kept.is_dir() else shared(tmp_path_factory) / "uv-cache")


def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that the processes of a test run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory, package_cache: str) -> Mapping[str, str]:
    """What the program sees of this process's environment; its home is the shared one."""
    user = shared(tmp_path_factory) / "user"
    user.mkdir(exist_ok=True)
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("UV_", "PIP_", "SSL_")) or name.upper().endswith("_PROXY") or name in {"PATH", "SYSTEMROOT"}
    }
    return {
        **passed,
        "HOME": str(user),
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": package_cache,
        "STEMSEP_ENV_HOME": str(shared(tmp_path_factory) / "Zoë's home"),
    }


@pytest.fixture(scope="session")
def dsp_home(environ: Mapping[str, str]) -> Path:
    """A home with the environment of the dsp runtime; of test processes that ask at once, one builds it."""
    ensure = [str(PROGRAM), "ensure", "dsp-hpss"]
    done = subprocess.run(ensure, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return Path(environ["STEMSEP_ENV_HOME"])


@pytest.fixture
def cli(tmp_path: Path, environ: Mapping[str, str], dsp_home: Path) -> Cli:
    """The command line, with the shared home."""
    return Cli(tmp_path, environ)


@pytest.fixture
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that nothing was built in yet."""
    return tmp_path_factory.mktemp("homes") / "empty"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write audio to a file below the test's folder; keyword arguments are soundfile's, or `noise`'s."""

    def make(name: AnyPath = "song.wav", audio: Audio | None = None, *, rate: int = 44100, **options: Any) -> Path:
        sound = {key: options.pop(key) for key in ("seconds", "channels", "level", "seed") if key in options}
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        options.setdefault("format", path.suffix[1:].upper() if path.suffix else "WAV")
        with path.open("wb") as stream:
            soundfile.write(stream, noise(rate=rate, **sound) if audio is None else audio, rate, **options)
        return path

    return make


@pytest.fixture
def song(write: Callable[..., Path]) -> Path:
    """Half a second of real stereo audio."""
    return write("song.wav", subtype="PCM_24")


@pytest.fixture(scope="session")
def shipped_entry() -> dict[str, Any]:
    """The registry's entry of dsp-hpss."""
    models: list[dict[str, Any]] = json.loads(SHIPPED.read_text("utf-8"))["models"]
    return next(model for model in models if model["id"] == "dsp-hpss")


Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path, shipped_entry: dict[str, Any]) -> Plant:
    """Write a registry with the entry of dsp-hpss as ``planted``, changed: ``runtime__allowed=[]`` and the like."""

    def make(*others: Any, name: str = "planted.json", **changes: Any) -> Path:
        planted: dict[str, Any] = {**json.loads(json.dumps(shipped_entry)), "id": "planted"}
        for path, value in changes.items():
            *folders, last = path.split("__")
            place = planted
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = value
        document = {**json.loads(SHIPPED.read_text("utf-8")), "models": [planted, *others]}
        registry = tmp_path / name
        registry.write_text(json.dumps(document), encoding="utf-8")
        return registry

    return make
