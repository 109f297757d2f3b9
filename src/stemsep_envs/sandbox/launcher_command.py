"""The launcher's command line, made from a policy: what all levels share."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import ExitCause, describe_exit, exit_cause_of
from stemsep_envs.sandbox import launcher
from stemsep_envs.sandbox.cgroups import Groups
from stemsep_envs.sandbox.policy import Limits, Policy

_LAUNCHER = Path(launcher.__file__).with_name("__main__.py")

_SIGXCPU, _SIGXFSZ = 24, 25  # not named on every platform

SHARED_LIMITS: Mapping[str, int] = {
    # Not 0: a machine's helper for core dumps is started all the same then, as root, and read what the worker left it.
    # For 1 the kernel makes an exception, meant for that helper's own crashes; no core file is as small.
    "core": 1,
    "files": 4096,
    "locked": 8 << 20,
    "signals": 1024,
    "queues": 0,
}
"""What every worker is held to, by the launcher's words: shares of what belongs to the user, or the machine, as a
whole."""

Option = tuple[str, ...]
"""A name of the launcher's table of options, and its values."""

_UNPRIVILEGED_UIDS = range(61_184, 65_520)
"""No distribution gives these to anybody; service managers take short-lived ones from here too."""


@dataclass(frozen=True)
class ConfinedCommand(Command):
    """A command that starts a confined worker.

    Attributes:
        grace_seconds: How long the launcher may take to end all of the worker.
        groups: The worker's control groups.
        limits: What it is held to.
        policy: What it was started with.
    """

    grace_seconds: float = 2.0
    groups: Groups = field(default_factory=Groups)
    limits: Limits = field(default_factory=Limits)
    policy: Policy | None = None


def launch(options: Iterable[Option], argv: Sequence[str], policy: Policy, groups: Groups) -> ConfinedCommand:
    """Return the command that starts the launcher with these options.

    Isolated (``-I``) and without site (``-S``): no environment variable, user folder or ``.pth`` file has a say in it.
    """
    words = [word for name, *values in options for word in (f"--{name}", *values)]
    command = (sys.executable, "-I", "-S", str(_LAUNCHER), *words, "--", *argv)
    return ConfinedCommand(command, {}, policy.writable_dir, groups=groups, limits=policy.limits, policy=policy)


def common_options(policy: Policy, groups: Groups, host_pid: int) -> list[Option]:
    """Return the options that every level starts with."""
    options: list[Option] = [("parent", str(host_pid))]
    options += [("cgroup", str(folder)) for folder in groups.folders]
    options += output_options(policy)
    limits = {**resource_limits(policy, groups), **SHARED_LIMITS}
    return options + [("limit", word, str(value)) for word, value in limits.items()]


def output_options(policy: Policy) -> list[Option]:
    """Return the options that bound what the worker writes."""
    most = policy.limits.output_bytes
    if most is None:
        return []
    changing = [("output-now", str(policy.output_file))] if policy.output_file is not None else []
    return [("output", str(policy.writable_dir), str(most)), *changing]


def resource_limits(policy: Policy, groups: Groups) -> Mapping[str, int]:
    """Return the resource limits of the process, by the launcher's words; not the number of processes."""
    limits = policy.limits
    # CUDA reserves far more addresses than it uses; its data segment is real.
    memory = "data" if policy.gpu or limits.memory_of == "data" else "memory"
    values = {
        "core": 0,
        "cpu": limits.cpu_seconds,
        "file": limits.file_bytes,
        memory: None if groups.bounds_memory else limits.memory_bytes,
    }
    return {word: value for word, value in values.items() if value is not None}


def process_limit(policy: Policy, groups: Groups) -> int | None:
    """Return how many processes the worker may have where no control group bounds them already."""
    return None if groups.bounds_processes else policy.limits.processes


def unprivileged_uid() -> int:
    """Return a user id for a worker that root starts: with high probability no other worker's."""
    return secrets.choice(_UNPRIVILEGED_UIDS)


def worker_exit_cause(command: Command, status: int) -> ExitCause:
    """Say how a worker ended, from the status its command exited with and what its control group counted."""
    if not isinstance(command, ConfinedCommand):
        return exit_cause_of(status)
    return ExitCause(_cause_in_words(command, status), over_limit=_is_over_limit(command, status))


def _cause_in_words(command: ConfinedCommand, status: int) -> str:
    limits = command.limits
    if status != 0 and command.groups.killed_for_memory():
        if not command.groups.reached_own_limit():
            return "killed: memory ran out on the machine (or in its container or service), not in its own share"
        return f"killed: it used more than its {_megabytes(limits.memory_bytes)} of memory"
    causes = {
        launcher.TOO_MUCH_OUTPUT: f"killed: it wrote more than its {_megabytes(_output_bytes(command))} of output",
        launcher.SETUP_FAILED: "not started: its confinement could not be put in place",
        launcher.LAUNCHER_FAILED: "killed: the launcher that watched over it failed",
        launcher.DISK_FULL: "killed: the disk that it writes to is almost full",
        launcher.HOST_GONE: "killed: the program that started it had ended",
    }
    if limits.cpu_seconds is not None:
        causes[-_SIGXCPU] = f"killed: it used more than its {limits.cpu_seconds} s of processor time"
    if limits.file_bytes is not None:
        causes[-_SIGXFSZ] = f"killed: it wrote a file larger than {_megabytes(limits.file_bytes)}"
    return causes.get(status) or describe_exit(status)


def _output_bytes(command: ConfinedCommand) -> int | None:
    return command.limits.output_bytes if command.policy is None else command.policy.output_bytes


def _is_over_limit(command: ConfinedCommand, status: int) -> bool:
    if status in {launcher.TOO_MUCH_OUTPUT, launcher.DISK_FULL}:
        return True
    set_here = {_SIGXCPU: command.limits.cpu_seconds, _SIGXFSZ: command.limits.file_bytes}
    number = -status if status < 0 else status - 128
    if number in set_here:
        return set_here[number] is not None  # else the worker only says so
    return exit_cause_of(status).over_limit or (status != 0 and command.groups.killed_for_memory())


def _megabytes(count: int | None) -> str:
    return "share" if count is None else f"{count / 1_000_000:.0f} MB"
