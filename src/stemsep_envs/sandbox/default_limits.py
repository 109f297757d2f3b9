"""What every worker is held to where nobody says otherwise."""

from __future__ import annotations

from stemsep_envs.host.machine import memory_bytes
from stemsep_envs.sandbox.policy import Limits


def default_limits() -> Limits:
    """Return what every worker is held to: all but a tenth of the memory there is, so that the machine lives on.

    Engines reserve far more addresses than they use, so where only processes can be bounded it is their data that is.
    """
    there = memory_bytes()
    return Limits(memory_bytes=None if there is None else there * 9 // 10, memory_of="data")
