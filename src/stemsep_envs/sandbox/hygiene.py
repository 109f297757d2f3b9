"""The lowest level: a clean environment, no inherited descriptors, its own session, limits, a whole-tree kill.

It keeps honest code tidy. It is not a boundary: code that wants out gets out, and every axis says so.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.host.command import Command
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.sandbox import launcher
from stemsep_envs.sandbox.cgroups import Groups, groups_for
from stemsep_envs.sandbox.launcher.escaped_processes import kill_escaped
from stemsep_envs.sandbox.launcher_command import common_options, launch, process_limit, resource_limits
from stemsep_envs.sandbox.policy import AXES, LevelName, Measurement, Policy

NAME: LevelName = "hygiene"

_WINDOWS_LAUNCHER = Path(launcher.__file__).with_name("windows.py")

_SHELL_LIMITS = {
    "core": ("-c", 512),
    "cpu": ("-t", 1),
    "file": ("-f", 512),
    "memory": ("-v", 1024),
    "data": ("-d", 1024),
}
"""A shell's letter for each resource limit, and the bytes in its unit."""


class Hygiene:
    """Starts a worker tidily."""

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
        """Yield the command in the policy's environment, folder and limits; end its strays afterwards."""
        ensure_dir(policy.writable_dir / "tmp")
        if sys.platform != "linux":
            yield Command((*_prefix(policy), *argv), policy.env, policy.writable_dir)
            return
        session = secrets.token_hex(16)
        with groups_for(policy.limits) as groups:
            options = [*common_options(policy, groups, os.getpid()), ("session", session)]
            processes = process_limit(policy, groups)
            if processes is not None:
                options.append(("limit", "processes", str(processes)))
            options += [("env", name, value) for name, value in policy.env.items()]
            try:
                yield launch([*options, ("chdir", str(policy.writable_dir))], argv, policy, groups)
            finally:
                kill_escaped(session)


def _prefix(policy: Policy) -> tuple[str, ...]:
    """Return what starts the worker where the launcher can't: a Job Object on Windows, a shell's limits elsewhere."""
    if os.name == "posix":
        return shell_limits(policy)
    limits = (str(policy.limits.memory_bytes or 0), str(policy.limits.processes or 0))
    return (sys.executable, "-I", "-S", str(_WINDOWS_LAUNCHER), str(os.getpid()), *limits, "--")


def shell_limits(policy: Policy) -> tuple[str, ...]:
    """Return a shell that lowers the limits and becomes the worker."""
    steps = [
        f"ulimit {_SHELL_LIMITS[word][0]} {value // _SHELL_LIMITS[word][1]} 2>/dev/null"
        for word, value in resource_limits(policy, Groups()).items()
    ]
    return ("/bin/sh", "-c", "; ".join([*steps, 'exec "$@"']), "sh")
