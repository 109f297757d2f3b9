"""Killing processes that escaped the worker's group (honest daemons), found by a word in their environment.

Not a boundary: whoever wants to changes that word.
"""

from __future__ import annotations

import os

SESSION_VARIABLE = "STEMSEP_ENV_SESSION"


def kill_escaped(session: str) -> None:
    """Kill every process whose environment at start carried this session's word, and those they started meanwhile."""
    mark = f"{SESSION_VARIABLE}={session}".encode()
    for _ in range(20):
        found = [pid for pid in _processes() if pid != os.getpid() and _carries(pid, mark)]
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, 9)
            except OSError:
                continue  # it ended meanwhile


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []  # not Linux


def _carries(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return mark in stream.read(1 << 20).split(b"\0")
    except OSError:
        return False  # gone, or another user's
