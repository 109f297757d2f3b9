"""The table of platforms that environments are made for, with the words that each tool has for them.

A new platform is a row here; everything else asks the table. Imported by the command line: keep it light.
"""

from __future__ import annotations

from typing import NamedTuple


class PlatformRow(NamedTuple):
    """One platform.

    Attributes:
        name: Its word in targets.
        system: ``linux``, ``macos`` or ``windows``.
        sys_platform: Python's word for the system (``sys.platform``).
        machine: Python's word for the processor there (``platform.machine()``, and the marker ``platform_machine``).
        machines: All words that Python may have for it, in lower case.
        uv: uv's word (``--python-platform``).
        wheel_systems: What the platform tags of wheels begin with; the last one begins an interpreter's platform too.
        processor: What platform tags, and the platform of an interpreter, end with.
        universal: What they end with instead where they serve several processors; empty where there is no such word.
        least_glibc: The oldest GNU C library that current wheels of torch load on; None where there is another one.
    """

    name: str
    system: str
    sys_platform: str
    machine: str
    machines: tuple[str, ...]
    uv: str
    wheel_systems: tuple[str, ...]
    processor: str
    universal: str = ""
    least_glibc: tuple[int, int] | None = None

    @property
    def marker(self) -> str:
        """The environment marker (PEP 508) that holds on this platform alone."""
        return f"sys_platform == '{self.sys_platform}' and platform_machine == '{self.machine}'"

    def admits_wheel(self, tag: str) -> bool:
        """Say whether a wheel with this platform tag is for this platform, as far as its processor tells."""
        return tag.startswith(self.wheel_systems) and tag.endswith(self._endings)

    def admits_interpreter(self, built_for: str) -> bool:
        """Say whether an interpreter that is built for a platform (``sysconfig.get_platform()``) runs on this one."""
        return built_for.startswith(self.wheel_systems[-1]) and built_for.endswith(self._endings)

    @property
    def _endings(self) -> tuple[str, ...]:
        return (self.processor, self.universal) if self.universal else (self.processor,)


_X86 = ("x86_64", "amd64")

PLATFORMS: tuple[PlatformRow, ...] = (
    PlatformRow(
        name="linux-x86_64",
        system="linux",
        sys_platform="linux",
        machine="x86_64",
        machines=_X86,
        uv="x86_64-manylinux_2_28",
        wheel_systems=("manylinux", "linux"),
        processor="x86_64",
        least_glibc=(2, 28),
    ),
    PlatformRow(
        name="linux-aarch64",
        system="linux",
        sys_platform="linux",
        machine="aarch64",
        machines=("aarch64", "arm64"),
        uv="aarch64-manylinux_2_28",
        wheel_systems=("manylinux", "linux"),
        processor="aarch64",
        least_glibc=(2, 28),
    ),
    PlatformRow(
        name="macos-arm64",
        system="macos",
        sys_platform="darwin",
        machine="arm64",
        machines=("arm64",),
        uv="aarch64-apple-darwin",
        wheel_systems=("macosx",),
        processor="arm64",
        universal="universal2",
    ),
    PlatformRow(
        name="macos-x86_64",
        system="macos",
        sys_platform="darwin",
        machine="x86_64",
        machines=_X86,
        uv="x86_64-apple-darwin",
        wheel_systems=("macosx",),
        processor="x86_64",
        universal="universal2",
    ),
    PlatformRow(
        name="windows-x86_64",
        system="windows",
        sys_platform="win32",
        machine="AMD64",
        machines=_X86,
        uv="x86_64-pc-windows-msvc",
        wheel_systems=("win",),
        processor="amd64",
    ),
)

PLATFORM_NAMES: tuple[str, ...] = tuple(row.name for row in PLATFORMS)

_BY_NAME = {row.name: row for row in PLATFORMS}


def platform_row(name: str) -> PlatformRow:
    """Return a platform's row.

    Raises:
        KeyError: There is no such platform.
    """
    return _BY_NAME[name]


def platforms_of(*systems: str) -> tuple[str, ...]:
    """Return the names of all platforms of these systems."""
    return tuple(row.name for row in PLATFORMS if row.system in systems)
