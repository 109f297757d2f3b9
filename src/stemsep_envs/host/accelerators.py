"""The accelerators of this machine, and which builds of torch they run.

Probing (`detect`) reads what drivers publish; only a machine with an NVIDIA driver costs a process. Mapping what was
found to builds (`cuda_builds`, `rocm_builds`, `usable_accelerators`) is pure.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.command import Command
from stemsep_envs.host.processes import run

_log = logging.getLogger(__name__)

_SMI_SECONDS = 20.0
_SMI_QUERY = "--query-gpu=name,driver_version,compute_cap,memory.total"
_INTEL = "0x8086"
_DISPLAY_CLASS = "0x03"

CUDA_DRIVERS: Mapping[str, tuple[str, str]] = {
    "cu118": ("450.80.02", "452.39"),
    "cu121": ("525.60.13", "528.33"),
    "cu124": ("525.60.13", "528.33"),
    "cu126": ("525.60.13", "528.33"),
    "cu128": ("525.60.13", "528.33"),
    "cu129": ("525.60.13", "528.33"),
    "cu130": ("580.65.06", "580.65"),
    "cu132": ("580.65.06", "580.65"),
}
"""Oldest driver for each CUDA build of torch, on Linux and on Windows.

From the tables of NVIDIA's CUDA compatibility guide: within one major version (11, 12, 13) a program built for a newer
minor runs on the driver of the first, because torch brings the rest of CUDA along.
"""

CUDA_CAPABILITIES: Mapping[str, tuple[float, float]] = {
    "cu118": (3.7, 9.0),
    "cu121": (5.0, 9.0),
    "cu124": (5.0, 9.0),
    "cu126": (5.0, 9.0),
    "cu128": (7.0, 12.1),
    "cu129": (7.0, 12.1),
    "cu130": (7.5, 12.1),
    "cu132": (7.5, 12.1),
}
"""Lowest and highest compute capability that torch's builds carry code for: a GTX 10xx (6.1) needs cu126 or older, an
RTX 50xx (12.0) cu128 or newer."""

ROCM_BUILDS = ("rocm6.0", "rocm6.1", "rocm6.2", "rocm6.3", "rocm6.4", "rocm7.0", "rocm7.1")
"""ROCm builds of torch, oldest first."""

ROCM_SINCE: Mapping[str, str] = {
    "gfx900": "rocm6.0",
    "gfx906": "rocm6.0",
    "gfx908": "rocm6.0",
    "gfx90a": "rocm6.0",
    "gfx942": "rocm6.0",
    "gfx1030": "rocm6.0",
    "gfx1100": "rocm6.0",
    "gfx1101": "rocm6.1",
    "gfx1102": "rocm6.4",
    "gfx1200": "rocm6.4",
    "gfx1201": "rocm6.4",
    "gfx950": "rocm7.0",
    "gfx1150": "rocm7.1",
    "gfx1151": "rocm7.1",
}
"""The first build that carries code for an architecture. ROCm's own libraries come with the build; the kernel driver is
this machine's."""


@dataclass(frozen=True)
class NvidiaDevice:
    """One NVIDIA device as its driver describes it; compute capability 9.0 is Hopper, memory is in bytes."""

    name: str
    compute_capability: float | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Accelerators:
    """What this machine has besides its processor.

    Attributes:
        nvidia_driver: The driver's version, such as ``550.144.03``.
        nvidia_devices: Its devices.
        amd_architectures: AMD devices that the kernel driver offers for computing: ``gfx1100``.
        apple: A processor with Metal.
        intel: An Intel device for the display, integrated or not.
    """

    nvidia_driver: str | None = None
    nvidia_devices: tuple[NvidiaDevice, ...] = ()
    amd_architectures: tuple[str, ...] = ()
    apple: bool = False
    intel: bool = False


@dataclass(frozen=True)
class Usable:
    """A build that runs here, and why."""

    accelerator: str
    why: str


def detect(*, machine: str | None = None) -> Accelerators:
    """Look for accelerators. What a driver does not answer is logged and taken as not there.

    Args:
        machine: The platform's name; this machine's by default (an Apple processor has Metal).
    """
    driver, devices = _nvidia()
    is_apple = sys.platform == "darwin" and (machine or os.uname().machine) == "arm64"
    return Accelerators(driver, devices, _amd_architectures(), is_apple, _has_intel_display())


def cuda_builds(driver: str, devices: tuple[NvidiaDevice, ...], *, windows: bool = False) -> tuple[str, ...]:
    """Return the CUDA builds of torch that a driver and every one of its devices run, newest first."""
    capabilities = [device.compute_capability for device in devices if device.compute_capability is not None]
    usable = []
    for build, oldest in CUDA_DRIVERS.items():
        lowest, highest = CUDA_CAPABILITIES[build]
        serves_all = all(lowest <= capability <= highest for capability in capabilities)
        if _version_key(driver) >= _version_key(oldest[1 if windows else 0]) and serves_all:
            usable.append(build)
    return tuple(sorted(usable, key=lambda build: int(build[2:]), reverse=True))


def rocm_builds(architectures: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ROCm builds of torch that carry code for every one of these architectures, newest first."""
    if not architectures or any(name not in ROCM_SINCE for name in architectures):
        return ()
    oldest = max(ROCM_BUILDS.index(ROCM_SINCE[name]) for name in architectures)
    return tuple(reversed(ROCM_BUILDS[oldest:]))


def usable_accelerators(found: Accelerators, platform: str) -> tuple[Usable, ...]:
    """Return every build that runs on what was found, best first; ``cpu`` is last and always there."""
    usable = []
    if found.nvidia_driver is not None and not platform.startswith("macos"):
        names = ", ".join(dict.fromkeys(device.name for device in found.nvidia_devices)) or "an NVIDIA device"
        words = f"{names} with driver {found.nvidia_driver}"
        builds = cuda_builds(found.nvidia_driver, found.nvidia_devices, windows=platform.startswith("windows"))
        usable += [Usable(build, words) for build in builds]
    if platform.startswith("linux"):
        words = f"AMD {', '.join(found.amd_architectures)}"
        usable += [Usable(build, words) for build in rocm_builds(found.amd_architectures)]
    if found.intel and not platform.startswith("macos"):
        usable.append(Usable("xpu", "an Intel graphics device"))
    if found.apple and platform == "macos-arm64":
        usable.append(Usable("mps", "an Apple processor with Metal"))
    usable.append(Usable("cpu", "no accelerator is needed"))
    return tuple(usable)


KNOWN_BUILDS = (*CUDA_DRIVERS, *ROCM_BUILDS, "xpu", "mps")
"""Every build but that for the processor, which runs everywhere."""


def why_not(accelerator: str, found: Accelerators, platform: str) -> str | None:
    """Say why a build does not run on what was found; None when it does, as far as is known."""
    if accelerator.startswith("cu"):
        return _why_not_cuda(accelerator, found, platform)
    if accelerator.startswith("rocm"):
        return _why_not_rocm(accelerator, found, platform)
    if accelerator == "xpu" and (not found.intel or platform.startswith("macos")):
        return "there is no Intel graphics device"
    if accelerator == "mps" and not (found.apple and platform == "macos-arm64"):
        return "there is no Apple processor"
    return None


def _why_not_cuda(build: str, found: Accelerators, platform: str) -> str | None:
    if platform.startswith("macos") or found.nvidia_driver is None:
        return "no NVIDIA driver answers"
    if build not in CUDA_DRIVERS:
        return None
    oldest = CUDA_DRIVERS[build][1 if platform.startswith("windows") else 0]
    if _version_key(found.nvidia_driver) < _version_key(oldest):
        return f"it needs the NVIDIA driver {oldest} or newer, and here is {found.nvidia_driver}"
    lowest, highest = CUDA_CAPABILITIES[build]
    for device in found.nvidia_devices:
        capability = device.compute_capability
        if capability is not None and not lowest <= capability <= highest:
            return f"it has code for compute capability {lowest} to {highest}, and {device.name} has {capability}"
    return None


def _why_not_rocm(build: str, found: Accelerators, platform: str) -> str | None:
    if not platform.startswith("linux") or not found.amd_architectures:
        return "the kernel driver offers no AMD device for computing"
    for name in found.amd_architectures:
        since = ROCM_SINCE.get(name)
        if since is None:
            return f"no build is known to have code for {name}"
        if build in ROCM_BUILDS and ROCM_BUILDS.index(build) < ROCM_BUILDS.index(since):
            return f"code for {name} is in {since} and newer"
    return None


def parse_smi(text: str) -> tuple[str | None, tuple[NvidiaDevice, ...]]:
    """Read ``nvidia-smi``'s CSV lines: name, driver version, compute capability, memory in MiB."""
    driver, devices = None, []
    for line in text.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 3)]
        if len(fields) != 4 or not re.fullmatch(r"\d+(\.\d+)+", fields[1]):
            continue
        driver = fields[1]
        capability = float(fields[2]) if re.fullmatch(r"\d+\.\d+", fields[2]) else None
        memory = re.match(r"(\d+) MiB", fields[3])
        devices.append(NvidiaDevice(fields[0], capability, int(memory[1]) << 20 if memory else None))
    return driver, tuple(devices)


def gfx_name(gfx_target_version: int) -> str:
    """Return the architecture for the kernel's number: 110001 is ``gfx1101``, 90010 is ``gfx90a``."""
    major, minor, step = gfx_target_version // 10000, gfx_target_version // 100 % 100, gfx_target_version % 100
    return f"gfx{major}{minor:x}{step:x}"


def _version_key(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _nvidia() -> tuple[str | None, tuple[NvidiaDevice, ...]]:
    smi = which("nvidia-smi") or which("nvidia-smi", path="/usr/lib/wsl/lib")
    if smi is not None:
        command = Command((smi, _SMI_QUERY, "--format=csv,noheader"), dict(os.environ), Path(smi).parent)
        try:
            done = run(command, timeout_seconds=_SMI_SECONDS)
        except StemsepEnvError as error:
            _log.warning("nvidia-smi does not answer: %s", error)
        else:
            if done.status == 0:
                return parse_smi(done.stdout)
            _log.debug("nvidia-smi fails: %s", (done.stdout + done.stderr).strip()[-300:])
    # A container can have the devices without nvidia-smi: the driver then says its version, not what it drives.
    if not Path("/dev/nvidiactl").exists():
        return None, ()
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None, ()
    match = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return (match[1] if match else None), ()


def _amd_architectures() -> tuple[str, ...]:
    if not Path("/dev/kfd").exists():
        return ()
    names = []
    for properties in sorted(Path("/sys/class/kfd/kfd/topology/nodes").glob("*/properties")):
        try:
            match = re.search(r"^gfx_target_version (\d+)$", properties.read_text(encoding="ascii"), re.MULTILINE)
        except (OSError, UnicodeDecodeError):
            continue
        if match and int(match[1]):  # 0 is the processor
            names.append(gfx_name(int(match[1])))
    return tuple(dict.fromkeys(names))


def _has_intel_display() -> bool:
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:
            kind = (device / "class").read_text(encoding="ascii")
            vendor = (device / "vendor").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            continue
        if kind.startswith(_DISPLAY_CLASS) and vendor.strip() == _INTEL:
            return True
    return False
