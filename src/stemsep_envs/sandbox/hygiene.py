"""The lowest level: a clean environment, no inherited descriptors, a session of its own, resource limits, a whole-tree kill.

It keeps honest code tidy. It is not a boundary: code that wants out gets out, and every axis says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stemsep_envs.host.files import ensure_dir
from stemsep_envs.host.processes import Command
from stemsep_envs.sandbox.policy import AXES, LevelName, Measurement, Policy

NAME: LevelName = "hygiene"


class Hygiene:
    """Starts a worker directly, tidily."""

    @property
    def name(self) -> LevelName:
        """Return the level's name."""
        return NAME

    def measure(self) -> Measurement:
        """Report what it holds: nothing, on any axis."""
        return Measurement(
            available=True,
            axes=dict.fromkeys(AXES, "open"),
            reason="a clean start and limits, not a boundary",
        )

    @contextmanager
    def confine(self, argv: tuple[str, ...], policy: Policy) -> Iterator[Command]:
        """Yield the command itself, with the policy's environment, in the policy's folder, under its limits."""
        ensure_dir(policy.writable_dir / "tmp")
        yield Command((*_limits_prefix(policy), *argv), policy.env, policy.writable_dir)


def _limits_prefix(policy: Policy) -> tuple[str, ...]:
    """Return a shell that lowers the limits and becomes the worker; nothing on Windows, which has none of them."""
    if sys.platform == "win32":
        return ()
    limits = policy.limits
    steps = ["ulimit -c 0"]
    if limits.file_bytes is not None:
        steps.append(f"ulimit -f {limits.file_bytes // 512}")
    if limits.memory_bytes is not None and not policy.gpu:  # an address-space limit breaks CUDA
        steps.append(f"ulimit -v {limits.memory_bytes // 1024}")
    if limits.cpu_seconds is not None:
        steps.append(f"ulimit -t {limits.cpu_seconds}")
    return ("/bin/sh", "-c", "; ".join([*steps, 'exec "$@"']), "sh")
