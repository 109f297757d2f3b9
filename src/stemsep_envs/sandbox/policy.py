"""What a worker may do, as data, and the shape every level of confinement has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from stemsep_envs.host.command import Command
from stemsep_envs.sandbox.level_table import AXES, LEVEL_ORDER, Axis, AxisState, LevelName

__all__ = [
    "AXES",
    "LEVEL_ORDER",
    "OWN_FOLDERS",
    "Axis",
    "AxisState",
    "Level",
    "LevelName",
    "Limits",
    "Measurement",
    "Policy",
]

OWN_FOLDERS = (Path("/proc"), Path("/dev"))
"""The level `namespaces` makes these anew; nothing of the host's is shown there but device nodes of accelerators."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what a worker uses. None leaves a resource unbounded.

    Attributes:
        memory_bytes: Of the worker with all its children where a control group can be made, else of each process.
        memory_of: What of each process is bounded then: ``addresses`` (all it maps: nothing escapes it, and what only
            reserves addresses fails) or ``data`` (what it has of its own: shared mappings escape it).
        processes: Processes and threads at once.
        file_bytes: The largest file.
        cpu_seconds: Of processor time of each process.
        output_bytes: Of everything in the writable folder together.
        tmpfs_bytes: Of the private ``/tmp`` and ``/dev/shm`` each, where the level has them.
    """

    memory_bytes: int | None = None
    memory_of: Literal["addresses", "data"] = "addresses"
    processes: int | None = 1024
    file_bytes: int | None = None
    cpu_seconds: int | None = None
    output_bytes: int | None = None
    tmpfs_bytes: int = 1 << 30


@dataclass(frozen=True)
class Policy:
    """What one worker may reach.

    Attributes:
        readable: Files and folders it may read: environment, base interpreter, worker code, adapter, weights, inputs.
        writable_dir: The one folder it may write: scratch outputs, home and temporary files lie in it.
        env: Its whole environment.
        limits: Bounds on what it may use.
        gpu: Whether the accelerator's device nodes are needed.
        output_file: A file out of the worker's reach with a number of bytes, which the writable folder may hold at the
            moment. It may change at any time; while it cannot be read, ``limits.output_bytes`` holds.
    """

    readable: tuple[Path, ...]
    writable_dir: Path
    env: Mapping[str, str]
    limits: Limits = Limits()
    gpu: bool = False
    output_file: Path | None = None

    @property
    def output_bytes(self) -> int | None:
        """What the writable folder may hold now."""
        try:
            return self.limits.output_bytes if self.output_file is None else int(self.output_file.read_text("ascii"))
        except (OSError, ValueError):
            return self.limits.output_bytes


@dataclass(frozen=True)
class Measurement:
    """What a level holds on this host.

    Attributes:
        available: Whether workers can be started in it.
        axes: State per axis, as probed.
        reason: Why it is not available, or what qualifies it, in words.
        remedy: What to install or change to have it.
    """

    available: bool
    axes: Mapping[Axis, AxisState]
    reason: str
    remedy: str | None = None

    @classmethod
    def unavailable(cls, reason: str, remedy: str) -> Measurement:
        """Return the measurement of a level that is not available here."""
        return cls(available=False, axes=dict.fromkeys(AXES, "open"), reason=reason, remedy=remedy)


class Level(Protocol):
    """A way to confine a worker."""

    @property
    def name(self) -> LevelName:
        """Return the level's name."""

    def measure(self) -> Measurement:
        """Find out what the level holds on this host."""

    def confine(self, argv: tuple[str, ...], policy: Policy) -> AbstractContextManager[Command]:
        """Yield the command that runs ``argv`` under ``policy``; clean up after the worker at the end."""
