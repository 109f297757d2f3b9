"""This machine: its platform in the words of targets, and the C library that decides which Linux wheels load."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.platforms import PLATFORM_NAMES, PLATFORMS, platform_row
from stemsep_envs.documents.target import Platform
from stemsep_envs.errors import BlockedError, Reason

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Machine:
    """What wheels care about.

    Attributes:
        platform: The platform of targets that run here.
        glibc: The version of the GNU C library, such as ``(2, 36)``; None elsewhere than on Linux, and on musl.
    """

    platform: Platform
    glibc: tuple[int, int] | None


def this_machine() -> Machine:
    """Describe the machine this process runs on.

    Raises:
        BlockedError: No target runs on this platform.
    """
    name = platform_named(sys.platform, platform.machine())
    if name is None:
        words = f"{sys.platform} on {platform.machine() or 'an unknown processor'}"
        reason = Reason("platform_not_supported", f"environments cannot be built for {words}", hint=_supported())
        raise BlockedError(reason.message, (reason,), hint=reason.hint)
    return Machine(name, _glibc() if platform_row(name).least_glibc else None)


def memory_bytes() -> int | None:
    """Return how much memory this process may count on: the machine's, or the least limit of the groups it is in.

    Such a group is a container, as it sees itself, or a service, with all that these are in.
    """
    try:
        sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return None
    for limit in _memory_limits():
        with suppress(OSError, ValueError):  # no such version of control groups, or "max"
            sizes.append(int(limit.read_text(encoding="ascii")))
    return min(sizes)


def _memory_limits() -> Iterator[Path]:
    """Yield the files with the limits of the control groups that this process is in, of both versions.

    The outermost of a whole machine has none, or one that is as good as unlimited.
    """
    lines = ["0::/", "0:memory:/"]
    with suppress(OSError, ValueError):
        lines += _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mounted, name = (
            (_CONTROL_GROUPS / "memory", "memory.limit_in_bytes") if controllers else (_CONTROL_GROUPS, "memory.max")
        )
        folder = mounted / path.lstrip("/")
        if ".." in folder.parts:  # outside of what this container sees
            continue
        yield from (outer / name for outer in (folder, *folder.parents) if outer.is_relative_to(mounted))


def platform_named(system: str, processor: str) -> Platform | None:
    """Return the platform for ``sys.platform`` and ``platform.machine()``, or None when there is none.

    An x86_64 Python translated on an Apple processor says x86_64, and rightly so: it loads x86_64 wheels.
    """
    fits = (row for row in PLATFORMS if row.sys_platform == system and processor.lower() in row.machines)
    return next((row.name for row in fits), None)


def _supported() -> str:
    return f"supported platforms: {', '.join(PLATFORM_NAMES)}"


def _glibc() -> tuple[int, int] | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""  # "glibc 2.36"
    except (ValueError, OSError):
        return None
    name, _, version = text.partition(" ")
    parts = version.split(".")
    if name != "glibc" or len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return None
    return int(parts[0]), int(parts[1])
