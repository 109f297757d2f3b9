"""A host in a page: starts `entry.py` as it is started in an environment, and speaks the protocol over its pipes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[3]
ENTRY = ROOT / "src" / "stemsep_envs" / "inside" / "entry.py"
DSP_ADAPTER = ROOT / "runtimes" / "dsp" / "adapter.py"

PATIENCE_SECONDS = 60.0
STEMS = ("harmonic", "percussive", "residual", "centre", "sides", "copy")


class ReplyError(Exception):
    """The worker answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.data: dict[str, Any] = error["data"]
        self.kind: str = error["data"]["kind"]


class Worker:
    """A worker process; what it prints is kept in `log`."""

    Error = ReplyError

    def __init__(self, adapter: Path = DSP_ADAPTER, command_prefix: tuple[str, ...] = ()) -> None:
        command = [*command_prefix, sys.executable, "-I", str(ENTRY), "--adapter", str(adapter)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.notifications: list[dict[str, Any]] = []
        self.log = ""
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._next_id = 0
        self._threads = [threading.Thread(target=self._read_replies), threading.Thread(target=self._read_log)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End it in any case."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """The exit status, once the worker has ended."""
        status = self.process.wait(PATIENCE_SECONDS)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return status

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def send(self, message: dict[str, Any]) -> None:
        self.send_bytes(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def receive(self) -> dict[str, Any]:
        """The next message, whatever it is; every line must be strict JSON."""
        line = self._lines.get(timeout=PATIENCE_SECONDS)
        assert line is not None, "the worker has ended"
        message = json.loads(line, parse_constant=lambda name: int(f"not JSON: {name}"))
        assert message["jsonrpc"] == "2.0"
        return dict(message)

    def request(self, method: str, params: Any) -> int:
        """Send a request without waiting; returns its id."""
        self._next_id += 1
        self.send({"id": self._next_id, "method": method, "params": params})
        return self._next_id

    def reply_to(self, request_id: int | None) -> dict[str, Any]:
        """The result of a request. Notifications on the way are kept; raises `ReplyError`."""
        while True:
            message = self.receive()
            if "method" in message:
                self.notifications.append(message)
                continue
            assert message["id"] == request_id
            if "error" in message:
                raise ReplyError(message["error"])
            return dict(message["result"])

    def wait_for(self, method: str) -> dict[str, Any]:
        """The next notification of that name."""
        while True:
            message = self.receive()
            assert "method" in message, message
            self.notifications.append(message)
            if message["method"] == method:
                return dict(message["params"])

    def call(self, method: str, params: Any) -> dict[str, Any]:
        return self.reply_to(self.request(method, params))

    def start(self, model_type: str = "hpss", **settings: Any) -> dict[str, Any]:
        """Initialize and load; returns the reply to `load`."""
        self.call("initialize", {"protocol": 1})
        return self.load(model_type, **settings)

    def load(self, model_type: str = "hpss", **settings: Any) -> dict[str, Any]:
        model = {"id": f"dsp-{model_type}", "model_type": model_type, "variant": None, "architecture": "Other"}
        return self.call("load", {"model": model, "artifacts": {}, "device": "cpu", "settings": settings})

    def separate(self, track: Path, out: Path, **changes: Any) -> dict[str, Any]:
        return self.call("separate", self.separate_params(track, out, **changes))

    @staticmethod
    def separate_params(track: Path, out: Path, **changes: Any) -> dict[str, Any]:
        """Parameters of `separate`; `changes` replace members of the request or of its `output`."""
        output: dict[str, Any] = {"format": "wav", "bit_depth": None, "sample_rate": "model", "normalize": False}
        output.update({name: changes.pop(name) for name in [*output, "files"] if name in changes})
        output.setdefault("files", {stem: f"{stem}.{output['format']}" for stem in STEMS})
        output["dir"] = str(out)
        request = {"input": str(track), "start_seconds": None, "duration_seconds": None, "stems": None}
        assert set(changes) <= set(request), changes
        return {**request, **changes, "output": output}

    def _read_replies(self) -> None:
        assert self.process.stdout is not None
        pending = b""
        while chunk := self.process.stdout.read(1 << 16):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        while chunk := self.process.stderr.read(1 << 16):
            self.log += chunk.decode(errors="replace")


COPYING_ADAPTER = """
import ctypes, os, subprocess, sys, time

def describe():
    return {{"packages": ["numpy", "no-such-package"], "devices": ["cpu"]}}

class Model:
    stems = ("copy",)
    sample_rate = None
    channels = (1, 2)
    settings = {{}}

    def separate(self, source, sinks, context):
        done = 0
        while True:
            block = source.read(1000)
            if not len(block):
                return
            done += len(block)
            {step}
            sinks["copy"].write(block)

def load(request, context):
    {load}
    return Model()
"""


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    """Starts workers, and ends them with the test."""
    workers: list[Worker] = []

    def start(adapter: Path = DSP_ADAPTER, command_prefix: tuple[str, ...] = ()) -> Worker:
        workers.append(Worker(adapter, command_prefix))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture
def copying_adapter(tmp_path: Path) -> Callable[..., Path]:
    """An adapter whose model copies its input block by block; `step` runs on each block, `load` once."""

    def write(step: str = "pass", load: str = "pass", **members: str) -> Path:
        text = COPYING_ADAPTER.format(step=step, load=load)
        for name, value in members.items():
            text = text.replace(f"\n    {name} = ", f"\n    {name} = {value} if True else ")
        path = tmp_path / "copying_adapter.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for stems."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def write_track(tmp_path: Path) -> Callable[..., Path]:
    """Writes noise, the same every time, to a file; returns its path."""

    def write(
        name: str = "track.wav", frames: int = 44100, channels: int = 2, sample_rate: int = 44100, **options: Any
    ) -> Path:
        audio = noise(frames, channels, options.pop("level", 0.2))
        path = tmp_path / name
        soundfile.write(path, audio, sample_rate, **options)
        return path

    return write


def noise(frames: int, channels: int, level: float) -> npt.NDArray[np.float32]:
    audio = np.random.default_rng(1).standard_normal((frames, channels)) * level
    return audio.astype(np.float32)
