"""The levels of this machine, what was measured of them, and which one a worker gets."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from stemsep_envs._version import __version__
from stemsep_envs.errors import Reason, StemsepEnvError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.sandbox.level_table import (
    AXES,
    LEVEL_ORDER,
    LEVELS,
    LOWEST,
    Axis,
    AxisState,
    LevelName,
    level_row,
)
from stemsep_envs.sandbox.policy import Level, Measurement

_STATES: tuple[AxisState, ...] = ("open", "limited", "held")


@dataclass(frozen=True)
class Choice:
    """Which level a worker gets.

    Attributes:
        needed: The least level that would do: what trust requires, raised by what the user asked for.
        level: The level to use; None when none will do.
        axes: What was measured of it.
        why: The choice, or the refusal, in words.
        lowered_by_flag: Whether it is weaker than needed because the user accepts that.
        reasons: Why no level will do: a failed probe each, with its remedy.
    """

    needed: LevelName
    level: LevelName | None
    axes: Mapping[Axis, AxisState]
    why: str
    lowered_by_flag: bool = False
    reasons: tuple[Reason, ...] = ()


def level_named(name: LevelName) -> Level:
    """Return a level of this platform.

    Raises:
        KeyError: This platform has no such level.
    """
    row = level_row(name)
    if not row.is_on(sys.platform):  # what it is made of can't even be imported here
        raise KeyError(f"{sys.platform} has no level {name}")
    module, _, maker = row.implementation.partition(".")
    level: Level = getattr(import_module(f"{__package__}.{module}"), maker)()
    return level


def candidates(requested: LevelName | None) -> tuple[LevelName, ...]:
    """Return the levels of this platform to measure, strongest first; those that start slowly only when asked for."""
    return tuple(
        row.name for row in LEVELS if row.is_on(sys.platform) and (row.starts_quickly or row.name == requested)
    )


def levels_here() -> tuple[LevelName, ...]:
    """Return all levels of this platform, strongest first."""
    return tuple(row.name for row in LEVELS if row.is_on(sys.platform))


def quick_level(cache_dir: Path) -> Level:
    """Return the strongest level that starts quickly and is available here, if only the lowest.

    Args:
        cache_dir: Where measurements are kept.
    """
    choice = choose(LOWEST, None, None, measured(candidates(None), cache_dir))
    return level_named(choice.level or LOWEST)


def choose(
    required: LevelName,
    requested: LevelName | None,
    allowed_lower: LevelName | None,
    measurements: Mapping[LevelName, Measurement],
) -> Choice:
    """Choose the strongest level that is available; refuse when that is weaker than needed.

    Args:
        required: The least level that the model's trust asks for.
        requested: A level that the user asks for at least.
        allowed_lower: A weaker level than needed that the user accepts.
        measurements: What was measured; a level that is not in it is not available.
    """
    needed = min(required, requested or required, key=LEVEL_ORDER.index)
    floor = max(needed, allowed_lower or needed, key=LEVEL_ORDER.index)
    reasons = []
    for name in LEVEL_ORDER[: LEVEL_ORDER.index(floor) + 1]:
        measured = measurements.get(name)
        if measured is None:
            continue
        missing = _broken_promises(name, measured)
        if measured.available and not missing:
            lowered = LEVEL_ORDER.index(name) > LEVEL_ORDER.index(needed)
            return Choice(needed, name, measured.axes, f"{name}: {measured.reason}", lowered_by_flag=lowered)
        words = measured.reason if not measured.available else f"{', '.join(missing)} not held: {measured.reason}"
        reasons.append(Reason(f"sandbox_{name}", f"level {name}: {words}", hint=measured.remedy))
    if not reasons:
        here = f"its levels are {', '.join(levels_here())}"
        words = f"this platform has no level {needed}, and none that is stronger may be used instead; {here}"
        hint = "leave --sandbox out, or name a level of this platform"
        reasons.append(Reason(f"sandbox_{needed}", words, hint=hint if requested is not None else None))
    why = f"no sandbox of level {floor} or stronger is available on this machine"
    return Choice(needed, None, {}, why, reasons=tuple(reasons))


def _broken_promises(name: LevelName, measured: Measurement) -> list[str]:
    promised = level_row(name).promises
    return [axis for axis in AXES if _STATES.index(measured.axes.get(axis, "open")) < _STATES.index(promised[axis])]


def with_gpu(axes: Mapping[Axis, AxisState]) -> Mapping[Axis, AxisState]:
    """Return the axes of a worker that is given the accelerator: its driver is reached, and system calls it takes."""
    return {**axes, "gpu": "open" if axes["gpu"] == "open" else "limited"}


def measured(names: Iterable[LevelName], cache_dir: Path) -> dict[LevelName, Measurement]:
    """Measure levels, or recall what was measured under the same kernel, tools, user and program since this boot.

    A level that was not available is measured anew: whoever has just mended that wants to see it.
    """
    file = cache_dir / "sandbox.json"
    key = _circumstances()
    known = _recalled(file, key)
    found = {name: known.get(name) or level_named(name).measure() for name in names}
    fresh = {name: value for name, value in found.items() if value.available and level_row(name).is_boundary}
    if fresh.keys() - known.keys():
        everything = {name: asdict(value) for name, value in (known | fresh).items()}
        with suppress(StemsepEnvError):  # measured again next time
            write_atomic(file, json.dumps({"measured_on": key, "levels": everything}, indent=1).encode())
    return found


def _circumstances() -> dict[str, str]:
    """Return all that a measurement depends on."""
    bubblewrap = shutil.which("bwrap")
    status = Path(bubblewrap).stat() if bubblewrap else None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").count("\n")
        status_lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        boot, groups, status_lines = "", 0, []
    # Root in a container may do much less than root beside it.
    rights = [" ".join(line.split()) for line in status_lines if line.startswith(("Cap", "NoNewPrivs:", "Seccomp:"))]
    return {
        "version": __version__,
        "python": sys.executable,
        "kernel": f"{platform.system()} {platform.release()} {platform.version()} {platform.machine()}",
        "boot": boot,
        "user": str(os.geteuid()) if hasattr(os, "geteuid") else "",
        "groups": str(groups),
        "rights": ", ".join(rights),
        "bubblewrap": f"{bubblewrap} {status.st_size} {status.st_mtime_ns}" if status else "",
    }


def _recalled(file: Path, key: Mapping[str, str]) -> dict[LevelName, Measurement]:
    """Return the kept measurements; none where the file is not there, damaged, or from other circumstances."""
    try:
        kept = json.loads(file.read_bytes())
        if kept["measured_on"] != key:
            return {}
        return {
            name: Measurement(available=True, axes=dict(value["axes"]), reason=value["reason"])
            for name, value in kept["levels"].items()
            if name in levels_here() and set(value["axes"]) == set(AXES) and set(value["axes"].values()) <= set(_STATES)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
