"""The table of accelerators: all that this program knows of CUDA, ROCm and their kind. A new one is a row here.

Words: a *family* is a kind of accelerator (``cuda``), a *build* is torch built for one of its releases (``cu128``). The
command line imports the table: keep it light.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from stemsep_envs.documents.accelerator_family import Device, Family, Found, MachineView
from stemsep_envs.documents.platforms import PLATFORM_NAMES, platform_row, platforms_of
from stemsep_envs.documents.wording import either


class _CudaBuild(NamedTuple):
    """What a CUDA build of torch needs: the oldest driver on Linux and on Windows; compute capabilities, both ends."""

    linux_driver: str
    windows_driver: str
    lowest: float
    highest: float


_CUDA_BUILDS: Mapping[str, _CudaBuild] = {
    "cu118": _CudaBuild("450.80.02", "452.39", 3.7, 9.0),
    "cu121": _CudaBuild("525.60.13", "528.33", 5.0, 9.0),
    "cu124": _CudaBuild("525.60.13", "528.33", 5.0, 9.0),
    "cu126": _CudaBuild("525.60.13", "528.33", 5.0, 9.0),
    "cu128": _CudaBuild("525.60.13", "528.33", 7.0, 12.1),
    "cu129": _CudaBuild("525.60.13", "528.33", 7.0, 12.1),
    "cu130": _CudaBuild("580.65.06", "580.65", 7.5, 12.1),
    "cu132": _CudaBuild("580.65.06", "580.65", 7.5, 12.1),
}
"""Drivers are from the tables of NVIDIA's CUDA compatibility guide: within one major version (11, 12, 13) a program
built for a newer minor runs on the driver of the first, because torch brings the rest of CUDA along. Capabilities are
what torch's builds carry code for: a GTX 10xx (6.1) needs cu126 or older, an RTX 50xx (12.0) cu128 or newer."""

_SMI_QUERY = "--query-gpu=name,driver_version,compute_cap,memory.total"


def _find_nvidia(machine: MachineView) -> Found | None:
    """Ask the driver's tool. A container can have the devices without it: the driver then only says its version."""
    answer = machine.ask("nvidia-smi", _SMI_QUERY, "--format=csv,noheader", also_in="/usr/lib/wsl/lib")
    if answer is not None:
        return parse_smi(answer)
    version = machine.read("/proc/driver/nvidia/version") if machine.exists("/dev/nvidiactl") else None
    match = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", version or "")
    return nvidia_found(match[1]) if match else None


def parse_smi(text: str) -> Found | None:
    """Read ``nvidia-smi``'s CSV lines: name, driver version, compute capability, memory in MiB."""
    driver, devices = None, []
    for line in text.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 3)]
        if len(fields) != 4 or not re.fullmatch(r"\d+(\.\d+)+", fields[1]):
            continue
        driver = fields[1]
        capability = fields[2] if re.fullmatch(r"\d+\.\d+", fields[2]) else None
        memory = re.match(r"(\d+) MiB", fields[3])
        devices.append(Device(fields[0], capability, int(memory[1]) << 20 if memory else None))
    return nvidia_found(driver, *devices) if driver is not None else None


def nvidia_found(driver: str, *devices: Device) -> Found:
    """Return what an NVIDIA driver and its devices amount to."""
    names = ", ".join(dict.fromkeys(device.name for device in devices)) or "an NVIDIA device"
    return Found(f"{names} with driver {driver}", devices, driver)


def _refuse_cuda(build: str, found: Found, platform: str) -> str | None:
    needs = _CUDA_BUILDS.get(build)
    if needs is None or found.driver is None:
        return None
    oldest = needs.windows_driver if platform_row(platform).system == "windows" else needs.linux_driver
    if _version_key(found.driver) < _version_key(oldest):
        return f"it needs the NVIDIA driver {oldest} or newer, and here is {found.driver}"
    for device in found.devices:
        capability = device.architecture
        if capability is not None and not needs.lowest <= float(capability) <= needs.highest:
            code = f"{needs.lowest} to {needs.highest}"
            return f"it has code for compute capability {code}, and {device.name} has {capability}"
    return None


def _version_key(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


_ROCM_BUILDS = ("rocm6.0", "rocm6.1", "rocm6.2", "rocm6.3", "rocm6.4", "rocm7.0", "rocm7.1")

_ROCM_SINCE: Mapping[str, str] = {
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


def _find_amd(machine: MachineView) -> Found | None:
    """Read what the kernel driver says of each device that it offers for computing."""
    if not machine.exists("/dev/kfd"):
        return None
    names = []
    for path in machine.glob("/sys/class/kfd/kfd/topology/nodes/*/properties"):
        match = re.search(r"^gfx_target_version (\d+)$", machine.read(path) or "", re.MULTILINE)
        if match and int(match[1]):  # 0 is the processor
            names.append(gfx_name(int(match[1])))
    return amd_found(*dict.fromkeys(names)) if names else None


def amd_found(*architectures: str) -> Found:
    """Return what AMD devices of these architectures amount to."""
    return Found(f"AMD {', '.join(architectures)}", tuple(Device(name, name) for name in architectures))


def gfx_name(gfx_target_version: int) -> str:
    """Return the architecture for the kernel's number: 110001 is ``gfx1101``, 90010 is ``gfx90a``."""
    major, minor, step = gfx_target_version // 10000, gfx_target_version // 100 % 100, gfx_target_version % 100
    return f"gfx{major}{minor:x}{step:x}"


def _refuse_rocm(build: str, found: Found, _: str) -> str | None:
    for device in found.devices:
        since = _ROCM_SINCE.get(device.architecture or "")
        if since is None:
            return f"no build is known to have code for {device.name}"
        if build in _ROCM_BUILDS and _ROCM_BUILDS.index(build) < _ROCM_BUILDS.index(since):
            return f"code for {device.name} is in {since} and newer"
    return None


def _find_intel(machine: MachineView) -> Found | None:
    """Look for a device for the display by Intel, integrated or not, on the PCI bus."""
    for device in machine.glob("/sys/bus/pci/devices/*"):
        kind, vendor = machine.read(f"{device}/class"), machine.read(f"{device}/vendor")
        if (kind or "").startswith("0x03") and (vendor or "").strip() == "0x8086":
            return Found("an Intel graphics device")
    return None


def _find_apple(machine: MachineView) -> Found | None:
    return Found("an Apple processor with Metal") if machine.platform == "macos-arm64" else None


_WITH_CARDS = platforms_of("linux", "windows")

FAMILIES: tuple[Family, ...] = (
    Family(
        name="cuda",
        title="CUDA",
        device="cuda",
        platforms=_WITH_CARDS,
        absent="no NVIDIA driver answers",
        find=_find_nvidia,
        prefix="cu",
        number="[0-9]{2,3}",
        pattern_in_words="cuNNN",
        example="cu128",
        builds=tuple(_CUDA_BUILDS),
        refusal=_refuse_cuda,
        runtime_library=r"nvidia-cuda-runtime(-cu\d+)?",
        packages=("pytorch-triton",),
        device_nodes=("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-caps", "dxg"),
        readable=("/sys", "/etc/OpenCL", "/usr/lib/wsl"),
        variables=("CUDA_", "NVIDIA_"),
    ),
    Family(
        name="rocm",
        title="ROCm",
        device="cuda",  # torch calls them so
        platforms=_WITH_CARDS,
        absent="the kernel driver offers no AMD device for computing",
        find=_find_amd,
        found_on=platforms_of("linux"),
        prefix="rocm",
        number="[0-9]+[.][0-9]+([.][0-9]+)?",
        dotted=True,
        pattern_in_words="rocmN.N",
        example="rocm6.4",
        builds=_ROCM_BUILDS,
        refusal=_refuse_rocm,
        packages=("pytorch-triton-rocm", "triton-rocm"),
        device_nodes=("kfd", "dri/renderD*"),
        readable=("/sys", "/opt/rocm", "/etc/OpenCL"),
        variables=("HIP_", "ROCR_"),
    ),
    Family(
        name="xpu",
        title="XPU",
        device="xpu",
        platforms=_WITH_CARDS,
        absent="there is no Intel graphics device",
        find=_find_intel,
        packages=("pytorch-triton-xpu", "triton-xpu"),
        device_nodes=("dri/renderD*", "dxg"),
        readable=("/sys", "/etc/OpenCL", "/usr/lib/wsl"),
    ),
    Family(
        name="mps",
        title="MPS",
        device="mps",
        platforms=("macos-arm64",),
        absent="there is no Apple processor",
        find=_find_apple,
        index_label="cpu",  # Apple's builds have Metal built in: an index calls them by the processor
        ordinary_on=("macos-arm64",),
        runs_any_build=True,
    ),
    Family(
        name="cpu",
        title="CPU",
        device="cpu",
        platforms=PLATFORM_NAMES,
        absent="",
        always=Found("no accelerator is needed"),
        ordinary_on=platforms_of("macos", "windows"),
        runs_any_build=True,
    ),
)
"""Best first: a machine that has several uses the first that the runtime and the model can use."""

FAMILY_NAMES: tuple[str, ...] = tuple(family.name for family in FAMILIES)

_BY_NAME = {family.name: family for family in FAMILIES}

PROCESSOR: Family = next(family for family in FAMILIES if family.is_processor)

NUMBERED: tuple[Family, ...] = tuple(family for family in FAMILIES if family.number)
"""Families with a build for each of their releases: models and runtimes may name those that they work with."""

BUILD_PATTERN = "|".join(family.pattern for family in FAMILIES)
"""A regular expression for the word of any build."""

EXAMPLES = either(family.example for family in FAMILIES)
PATTERNS_IN_WORDS = either(family.pattern_in_words for family in FAMILIES)

TARGET_EXAMPLES: tuple[str, ...] = tuple(f"{family.platforms[0]}-{family.example}" for family in FAMILIES)

KNOWN_BUILDS: tuple[str, ...] = tuple(
    build for family in FAMILIES for build in family.builds if not family.is_processor
)
"""Every known build but that for the processor, which runs everywhere."""

PACKAGES: tuple[str, ...] = tuple(sorted(name for family in FAMILIES for name in family.packages))
"""Distributions that exist for one family alone."""

DEVICE_NODES: tuple[str, ...] = tuple(dict.fromkeys(node for family in FAMILIES for node in family.device_nodes))
"""Patterns of nodes below ``/dev``."""

DRIVER_FILES: tuple[str, ...] = tuple(dict.fromkeys(path for family in FAMILIES for path in family.readable))
"""What the libraries of all families read of a machine beside its system folders."""


def find_family(build: str) -> Family | None:
    """Return the family of a build, known or not; None for what is no build."""
    return next((family for family in FAMILIES if family.has_build(build)), None)


def family_of(build: str) -> Family:
    """Return the family of a build.

    Raises:
        ValueError: It is no build.
    """
    family = find_family(build)
    if family is None:
        raise ValueError(f"{build!r} is not an accelerator: {PATTERNS_IN_WORDS}")
    return family


def family_named(name: str) -> Family:
    """Return a family by its name.

    Raises:
        KeyError: There is none of this name.
    """
    return _BY_NAME[name]
