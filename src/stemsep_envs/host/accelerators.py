"""The accelerators of this machine, and which builds of torch they run: the rows of `documents.accelerators`, asked.

Detecting reads what drivers publish; only a machine with an NVIDIA driver costs a process. What follows from what was
found is pure.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TypeAlias

from stemsep_envs.documents.accelerator_family import Found, MachineView
from stemsep_envs.documents.accelerators import FAMILIES, FAMILY_NAMES, PROCESSOR, family_of
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.command import Command
from stemsep_envs.host.machine import platform_named
from stemsep_envs.host.processes import run

_log = logging.getLogger(__name__)

_ASK_SECONDS = 20.0

Accelerators: TypeAlias = Mapping[str, Found]
"""What a machine has besides its processor, by the name of the family."""


@dataclass(frozen=True)
class Usable:
    """A build that runs here, and why."""

    accelerator: str
    why: str


def detect(wanted: Collection[str] = FAMILY_NAMES, *, machine: MachineView | None = None) -> Accelerators:
    """Look for accelerators. What a driver does not answer is logged and taken as not there.

    Args:
        wanted: The families that matter. Where the processor alone does, nothing is looked for: it may cost a process.
        machine: Where to look; here by default.
    """
    if set(wanted) == {PROCESSOR.name}:
        return {}
    view = machine or _ThisMachine()
    found = {family.name: family.find(view) for family in FAMILIES}
    return {name: here for name, here in found.items() if here is not None}


def usable_accelerators(found: Accelerators, platform: str) -> tuple[Usable, ...]:
    """Return every build that runs on what was found, best first; the processor is last and always there."""
    usable = []
    for family in FAMILIES:
        here = found.get(family.name) or family.always
        usable += [Usable(build, here.words) for build in family.usable(here, platform)] if here is not None else []
    return tuple(usable)


def why_not(accelerator: str, found: Accelerators, platform: str) -> str | None:
    """Say why a build does not run on what was found; None when it does, as far as is known."""
    family = family_of(accelerator)
    return family.why_not(accelerator, found.get(family.name), platform)


def memory_gb(accelerator: str, found: Accelerators) -> float | None:
    """Return the memory of the smallest device that a build would run on, in GB (10⁹ bytes); None when nobody says.

    The processor has none of its own: 0.
    """
    family = family_of(accelerator)
    if family.is_processor:
        return 0.0
    here = found.get(family.name)
    sizes = [device.memory_bytes for device in here.devices if device.memory_bytes] if here is not None else []
    return min(sizes) / 1e9 if sizes else None


class _ThisMachine:
    """This machine, as rows look at it."""

    @property
    def platform(self) -> str | None:
        return platform_named(sys.platform, platform.machine())

    def ask(self, program: str, *arguments: str, also_in: str = "") -> str | None:
        path = which(program) or (which(program, path=also_in) if also_in else None)
        if path is None:
            return None
        try:
            done = run(Command((path, *arguments), dict(os.environ), Path(path).parent), timeout_seconds=_ASK_SECONDS)
        except StemsepEnvError as error:
            _log.warning("%s does not answer: %s", program, error)
            return None
        if done.status != 0:
            _log.debug("%s fails: %s", program, (done.stdout + done.stderr).strip()[-300:])
            return None
        return done.stdout

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def glob(self, pattern: str) -> tuple[str, ...]:
        return tuple(sorted(map(str, Path("/").glob(pattern.lstrip("/")))))
