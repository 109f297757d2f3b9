"""The `landlock` level: Landlock and a system-call filter, for hosts without user namespaces and inside containers.

The worker runs among the host's processes and files, and may open only what its policy names. It can neither make a
socket nor leave its process group. What Landlock does not govern stays visible: names, sizes and times of files, and
that other processes exist.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.sandbox.cgroups import groups_for
from stemsep_envs.sandbox.launcher import kernel
from stemsep_envs.sandbox.launcher.landlock import LEAST_ABI
from stemsep_envs.sandbox.launcher_command import (
    ConfinedCommand,
    Option,
    common_options,
    launch,
    process_limit,
    unprivileged_uid,
)
from stemsep_envs.sandbox.policy import LevelName, Measurement, Policy
from stemsep_envs.sandbox.probing import measure
from stemsep_envs.sandbox.system_files import System, find_system

NAME: LevelName = "landlock"

_ROOT_REMEDY = """
    root may not switch to another user here: give the container CAP_SETUID, CAP_SETGID, CAP_CHOWN and CAP_KILL, take
    all capabilities from it, or start as an ordinary user"""

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PROC_FILES = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version")


class Landlock:
    """Starts a worker below a Landlock ruleset."""

    @property
    def name(self) -> LevelName:
        """Return the level's name."""
        return NAME

    def measure(self) -> Measurement:
        """Run the probes inside and look from outside at what happened."""
        abi = kernel.landlock_abi()
        if abi < LEAST_ABI:
            found = f"has version {abi} of it" if abi else "has none, or it is not enabled"
            return Measurement.unavailable(
                f"Landlock {LEAST_ABI} is needed and this kernel {found}",
                "use Linux 6.12 or newer with landlock among its security modules (see /sys/kernel/security/lsm)",
            )
        return measure(self, remedies={"Operation not permitted": _ROOT_REMEDY})

    @contextmanager
    def confine(self, argv: tuple[str, ...], policy: Policy) -> Iterator[ConfinedCommand]:
        """Yield the command that runs ``argv`` below a ruleset; its control groups are removed at the end."""
        ensure_dir(policy.writable_dir / "tmp")
        with groups_for(policy.limits) as groups:
            options = common_options(policy, groups, os.getpid())
            processes = process_limit(policy, groups)
            if processes is not None:
                options.append(("limit", "processes", str(processes)))
            if os.geteuid() == 0 and not is_powerless():
                options += [("uid", str(unprivileged_uid())), ("own", str(policy.writable_dir))]
            yield launch([*options, *ruleset_options(policy, find_system())], argv, policy, groups)


def is_powerless() -> bool:
    """Say whether this process has no capability and can get none: root in name only, as in hardened containers.

    Such a root cannot become another user, and need not.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return False
    sets = dict(line.split(":", 1) for line in lines if line.startswith(("CapEff:", "CapPrm:", "CapBnd:")))
    return len(sets) == 3 and all(int(value, 16) == 0 for value in sets.values())


def ruleset_options(policy: Policy, system: System) -> list[Option]:
    """Return the launcher's options that say what the worker may open, its environment and folder."""
    readable = [*system.readable, *(path for path, _ in system.links), *policy.readable]
    options: list[Option] = [("allow", "read", str(path)) for path in readable]
    options += [("allow", "read", path) for path in _PROC_FILES]
    options += [("allow", "device", path) for path in _DEVICES]
    if policy.gpu:
        options += [("allow", "gpu", str(node)) for node in system.gpu_nodes]
        options += [("allow", "read", str(path)) for path in system.gpu_readable]
    options.append(("allow", "write", str(policy.writable_dir)))
    options += [("env", name, value) for name, value in policy.env.items()]
    return [*options, ("chdir", str(policy.writable_dir)), ("seccomp", "landlock")]
