"""The table of accelerators: what its rows find on a machine, and which builds run on what was found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch

import pytest

from stemsep_envs.documents.accelerator_family import Device, Found
from stemsep_envs.documents.accelerators import (
    FAMILIES,
    FAMILY_NAMES,
    KNOWN_BUILDS,
    PACKAGES,
    PROCESSOR,
    amd_found,
    family_named,
    family_of,
    find_family,
    gfx_name,
    nvidia_found,
    parse_smi,
)
from stemsep_envs.documents.platforms import PLATFORM_NAMES

CUDA, ROCM = family_named("cuda"), family_named("rocm")
LINUX, WINDOWS = "linux-x86_64", "windows-x86_64"


class MadeUpMachine:
    """A machine with these files, whose programs say these words."""

    def __init__(
        self, files: Mapping[str, str], says: Mapping[str, str] | None = None, platform: str | None = LINUX
    ) -> None:
        self.files = files
        self.says = says or {}
        self.platform = platform

    def ask(self, program: str, *_: str, also_in: str = "") -> str | None:
        return self.says.get(program) or self.says.get(f"{also_in}/{program}")

    def exists(self, path: str) -> bool:
        return path in self.files

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def glob(self, pattern: str) -> tuple[str, ...]:
        folders = {path.rpartition("/")[0] for path in self.files}
        return tuple(sorted(path for path in {*self.files, *folders} if fnmatch(path, pattern)))


def cards(*capabilities: str | None) -> tuple[Device, ...]:
    return tuple(Device("a device", capability, 8 << 30) for capability in capabilities)


@pytest.mark.parametrize(
    ("build", "family"), [("cu128", "cuda"), ("rocm6.4", "rocm"), ("mps", "mps"), ("xpu", "xpu"), ("cpu", "cpu")]
)
def test_every_build_has_a_family(build: str, family: str) -> None:
    assert family_of(build).name == family


@pytest.mark.parametrize("text", ["", "gpu", "cu1", "cu1280", "rocm6", "cuda", "cpu2", "cu128\n", "mps1"])
def test_what_is_no_build_has_no_family(text: str) -> None:
    assert find_family(text) is None
    with pytest.raises(ValueError, match=r"is not an accelerator: cuNNN, rocmN.N, xpu, mps or cpu"):
        family_of(text)


def test_rows_are_told_apart() -> None:
    assert len(set(FAMILY_NAMES)) == len(FAMILIES)
    for family in FAMILIES:
        assert family.has_build(family.example)
        assert [other.name for other in FAMILIES if any(map(other.has_build, family.builds))] == [family.name]
        assert set(family.platforms) <= set(PLATFORM_NAMES)


def test_known_builds_are_oldest_first() -> None:
    for family in FAMILIES:
        assert list(family.builds) == sorted(family.builds, key=family.age_of)


def test_the_processor_is_last_and_everywhere() -> None:
    assert FAMILIES[-1] is PROCESSOR
    assert PROCESSOR.platforms == PLATFORM_NAMES


@pytest.mark.parametrize(
    ("text", "build"), [("cu128", "cu128"), ("12.8", "cu128"), ("128", "cu128"), ("CUDA11.8", "cu118")]
)
def test_cuda_builds_in_every_spelling(text: str, build: str) -> None:
    assert CUDA.build_named(text) == build


@pytest.mark.parametrize("text", ["", "cu", "cu1", "rocm6.4", "12.8.1.0"])
def test_what_is_no_cuda_build(text: str) -> None:
    with pytest.raises(ValueError, match="not a CUDA build: write cu128"):
        CUDA.build_named(text)


def test_rocm_builds_in_every_spelling() -> None:
    assert ROCM.build_named("6.4") == ROCM.build_named("rocm6.4") == "rocm6.4"
    for wrong in ("6", "cu128", "", "6.x"):
        with pytest.raises(ValueError, match=r"not a ROCm build: write rocm6\.4"):
            ROCM.build_named(wrong)


def test_a_runtime_library_tells_the_build() -> None:
    assert CUDA.build_of("nvidia-cuda-runtime-cu12", "12.8.90") == "cu128"
    assert CUDA.build_of("nvidia-cuda-runtime", "13.0.48") == "cu130"
    assert CUDA.build_of("nvidia-cudnn-cu12", "9.1.0") is None
    assert ROCM.build_of("nvidia-cuda-runtime", "13.0.48") is None


def test_builds_have_the_label_of_their_index() -> None:
    assert family_named("mps").label_of("mps") == "cpu"
    assert CUDA.label_of("cu128") == "cu128"


def test_packages_of_one_accelerator_come_from_its_index() -> None:
    assert PACKAGES == (
        "pytorch-triton",
        "pytorch-triton-rocm",
        "pytorch-triton-xpu",
        "triton-rocm",
        "triton-xpu",
    )


@pytest.mark.parametrize(
    ("driver", "capabilities", "newest"),
    [
        ("580.95.05", ["9.0"], "cu132"),
        ("570.86.10", ["9.0"], "cu129"),  # 13.x needs 580
        ("525.60.13", ["8.6"], "cu129"),
        ("470.82.01", ["8.6"], "cu118"),  # 12.x needs 525
        ("580.95.05", ["6.1"], "cu126"),  # a GTX 10xx
        ("580.95.05", ["7.0"], "cu129"),  # a V100
        ("580.95.05", ["12.0"], "cu132"),  # an RTX 50xx
        ("580.95.05", ["6.1", "9.0"], "cu126"),  # both in one machine: what serves both
        ("580.95.05", [None], "cu132"),
        ("390.10", ["6.1"], None),
        ("580.95.05", ["6.1", "12.0"], None),
    ],
)
def test_the_newest_cuda_build(driver: str, capabilities: list[str | None], newest: str | None) -> None:
    builds = CUDA.usable(nvidia_found(driver, *cards(*capabilities)), LINUX)
    assert (builds[0] if builds else None) == newest
    assert builds == tuple(sorted(builds, key=lambda build: int(build[2:]), reverse=True))


def test_an_rtx_50_takes_nothing_older_than_cu128() -> None:
    assert "cu126" not in CUDA.usable(nvidia_found("580.95.05", *cards("12.0")), LINUX)


def test_windows_drivers_are_numbered_otherwise() -> None:
    assert CUDA.usable(nvidia_found("528.33", *cards("8.6")), WINDOWS)[0] == "cu129"
    assert CUDA.usable(nvidia_found("528.32", *cards("8.6")), WINDOWS)[0] == "cu118"


@pytest.mark.parametrize(
    ("architectures", "newest", "oldest"),
    [
        (("gfx1100",), "rocm7.1", "rocm6.0"),
        (("gfx1201",), "rocm7.1", "rocm6.4"),
        (("gfx90a", "gfx950"), "rocm7.1", "rocm7.0"),
    ],
)
def test_rocm_builds_since_an_architecture_is_known(architectures: tuple[str, ...], newest: str, oldest: str) -> None:
    builds = ROCM.usable(amd_found(*architectures), LINUX)
    assert (builds[0], builds[-1]) == (newest, oldest)


def test_unknown_architectures_run_nothing() -> None:
    assert ROCM.usable(amd_found("gfx9999"), LINUX) == ()
    assert ROCM.usable(amd_found("gfx1100", "gfx9999"), LINUX) == ()
    assert ROCM.usable(amd_found("gfx1100"), WINDOWS) == ()


HOPPER = nvidia_found("550.144.03", Device("H200", "9.0", 140 << 30))
PASCAL = nvidia_found("580.95.05", Device("GTX 1080", "6.1", 8 << 30))


@pytest.mark.parametrize(
    ("build", "found", "words"),
    [
        ("cu130", HOPPER, "it needs the NVIDIA driver 580.65.06 or newer, and here is 550.144.03"),
        ("cu128", HOPPER, None),
        ("cu128", PASCAL, "it has code for compute capability 7.0 to 12.1, and GTX 1080 has 6.1"),
        ("cu126", PASCAL, None),
        ("cu199", HOPPER, None),  # newer than what is known here
        ("cu199", None, "no NVIDIA driver answers"),
        ("rocm6.4", None, "the kernel driver offers no AMD device for computing"),
        ("rocm6.3", amd_found("gfx1201"), "code for gfx1201 is in rocm6.4 and newer"),
        ("rocm7.0", amd_found("gfx1201"), None),
        ("rocm7.0", amd_found("gfx1036"), "no build is known to have code for gfx1036"),
        ("xpu", None, "there is no Intel graphics device"),
        ("mps", None, "there is no Apple processor"),
        ("cpu", None, None),
    ],
)
def test_why_a_build_does_not_run(build: str, found: Found | None, words: str | None) -> None:
    assert family_of(build).why_not(build, found, LINUX) == words


def test_nothing_of_a_family_runs_where_it_does_not_exist() -> None:
    assert CUDA.why_not("cu128", HOPPER, "macos-arm64") == "no NVIDIA driver answers"


@pytest.mark.parametrize(
    ("number", "name"),
    [(110001, "gfx1101"), (90010, "gfx90a"), (90402, "gfx942"), (100300, "gfx1030"), (120001, "gfx1201")],
)
def test_names_of_amd_architectures(number: int, name: str) -> None:
    assert gfx_name(number) == name


SMI = (
    "NVIDIA H200, 550.144.03, 9.0, 143771 MiB\nOdd, name with comma, 550.144.03, [N/A], [N/A]\nNo devices were found\n"
)


def test_nvidia_smi_lines() -> None:
    found = parse_smi(SMI)
    assert found is not None
    assert found.driver == "550.144.03"
    assert found.devices == (Device("NVIDIA H200", "9.0", 143771 << 20), Device("Odd, name with comma", None, None))
    assert found.words == "NVIDIA H200, Odd, name with comma with driver 550.144.03"
    assert parse_smi("") is None


def test_nvidia_is_found_by_its_tool() -> None:
    assert CUDA.find(MadeUpMachine({}, {"nvidia-smi": SMI})) == parse_smi(SMI)
    assert CUDA.find(MadeUpMachine({}, {"/usr/lib/wsl/lib/nvidia-smi": SMI})) == parse_smi(SMI)
    assert CUDA.find(MadeUpMachine({}, {"nvidia-smi": "No devices were found\n"})) is None
    assert CUDA.find(MadeUpMachine({})) is None


def test_nvidia_in_a_container_is_found_by_its_driver() -> None:
    words = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon Dec 30 17:44:08 UTC 2024\n"
    files = {"/dev/nvidiactl": "", "/proc/driver/nvidia/version": words}
    assert CUDA.find(MadeUpMachine(files)) == nvidia_found("550.144.03")
    assert CUDA.find(MadeUpMachine({"/proc/driver/nvidia/version": words})) is None


def test_amd_is_found_by_the_kernel_s_topology() -> None:
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    files = {
        f"{nodes}/0/properties": "cpu_cores_count 16\ngfx_target_version 0\n",
        f"{nodes}/1/properties": "simd_count 96\ngfx_target_version 110000\n",
        f"{nodes}/2/properties": "simd_count 96\ngfx_target_version 110000\n",
    }
    assert ROCM.find(MadeUpMachine({"/dev/kfd": "", **files})) == amd_found("gfx1100")
    assert ROCM.find(MadeUpMachine({"/dev/kfd": "", f"{nodes}/0/properties": "gfx_target_version 0\n"})) is None
    assert ROCM.find(MadeUpMachine(files)) is None


@pytest.mark.parametrize(
    ("kind", "vendor", "is_found"),
    [("0x030000\n", "0x8086\n", True), ("0x038000\n", "0x8086\n", True), ("0x030000", "0x10de", False)],
)
def test_intel_is_found_on_the_bus(kind: str, vendor: str, is_found: bool) -> None:
    device = "/sys/bus/pci/devices/0000:00:02.0"
    found = family_named("xpu").find(MadeUpMachine({f"{device}/class": kind, f"{device}/vendor": vendor}))
    assert (found is not None) == is_found


def test_apple_is_found_by_its_platform() -> None:
    assert family_named("mps").find(MadeUpMachine({}, platform="macos-arm64")) is not None
    assert family_named("mps").find(MadeUpMachine({}, platform="macos-x86_64")) is None
    assert family_named("mps").find(MadeUpMachine({}, platform=None)) is None


def test_patterns_are_those_of_json_schema_too() -> None:
    for family in FAMILIES:
        assert not re.search(r"\\[a-zA-Z]|\(\?", family.pattern)


def test_known_builds_are_of_accelerators() -> None:
    assert "cu128" in KNOWN_BUILDS
    assert "cpu" not in KNOWN_BUILDS
