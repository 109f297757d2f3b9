"""Processes that left the worker's group, found by a word in their environment: honest daemons. Not a boundary."""

from __future__ import annotations

import os

SESSION_VARIABLE = "STEMSEP_ENV_SESSION"


def end_strays(session: str) -> None:
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
