"""Small programs that tests of processes start, and what they leave."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from stemsep_envs.host.command import Command

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def python(code: str, *arguments: str, env: dict[str, str] | None = None) -> Command:
    return Command((sys.executable, "-I", "-S", "-c", code, *arguments), env or {}, Path(__file__).parent)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pipe-")]


def assert_gone(pid: int) -> None:
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
