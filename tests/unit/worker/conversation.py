"""Sessions with the worker in `tests/programs`, and a look at what is left of one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.documents.protocol import LoadedModel, LoadParams, OutputRequest, SeparateParams
from stemsep_envs.host.command import Command
from stemsep_envs.worker.connection import WorkerConnection
from stemsep_envs.worker.deadlines import Deadlines

WORKER = Path(__file__).resolve().parents[2] / "programs" / "worker.py"

PATIENT = Deadlines(start_seconds=60, load_seconds=60, silence_seconds=60, cancel_seconds=60, shutdown_seconds=60)
"""For everything that ends by itself."""

BRISK = Deadlines(start_seconds=60, load_seconds=60, silence_seconds=0.5, cancel_seconds=0.3, shutdown_seconds=0.3)
"""For workers that have to be ended, in a request to separate."""

LOAD = LoadParams(
    model=LoadedModel(id="m", model_type=None, variant=None, architecture="a"),
    artifacts={},
    device="cpu",
    settings={},
)


def separation(padding: int = 0) -> SeparateParams:
    output = OutputRequest(dir="/nowhere", files={}, format="wav", bit_depth="16", sample_rate="model", normalize=False)
    return SeparateParams(input="x" * padding, start_seconds=None, duration_seconds=None, stems=None, output=output)


def worker_command(behaviour: str, at: str = "separate") -> Command:
    return Command(
        (sys.executable, "-I", "-S", str(WORKER), behaviour, at), {"PATH": os.environ["PATH"]}, WORKER.parent
    )


@contextmanager
def opened(
    behaviour: str,
    at: str = "separate",
    *,
    deadlines: Deadlines = PATIENT,
    on_log: Callable[[str, str], None] | None = None,
) -> Iterator[WorkerConnection]:
    """Yield a session, initialized and loaded unless it is to misbehave before that; see that nothing of it is left."""
    with WorkerConnection(worker_command(behaviour, at), deadlines=deadlines, on_log=on_log) as session:
        if at not in {"start", "initialize"}:
            session.initialize()
            if at != "load":
                session.load(LOAD)
        pid = session.pid
        yield session
    assert_gone(pid)


def assert_gone(pid: int) -> None:
    """No process is left of the group of ``pid``, and no thread that served its pipes."""
    eventually(lambda: not group_members(pid))
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("pipe-")])


def group_members(group: int) -> list[int]:
    return [pid for pid, facts in processes() if int(facts[2]) == group and facts[0] != "Z"]


def processes() -> Iterator[tuple[int, list[str]]]:
    """Yield every process with its state, parent, group and session."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never became true"
        time.sleep(0.01)
