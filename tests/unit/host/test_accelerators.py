"""From what drivers say to builds of torch."""

from __future__ import annotations

import pytest

from stemsep_envs.host.accelerators import (
    CUDA_CAPABILITIES,
    CUDA_DRIVERS,
    KNOWN_BUILDS,
    ROCM_BUILDS,
    ROCM_SINCE,
    Accelerators,
    NvidiaDevice,
    cuda_builds,
    detect,
    gfx_name,
    parse_smi,
    rocm_builds,
    usable_accelerators,
    why_not,
)


def device(capability: float | None) -> NvidiaDevice:
    """A device."""
    return NvidiaDevice("a device", capability, 8 << 30)


@pytest.mark.parametrize(
    ("driver", "capabilities", "newest"),
    [
        ("580.95.05", [9.0], "cu132"),
        ("570.86.10", [9.0], "cu129"),  # 13.x needs 580
        ("525.60.13", [8.6], "cu129"),
        ("470.82.01", [8.6], "cu118"),  # 12.x needs 525
        ("580.95.05", [6.1], "cu126"),  # a GTX 10xx
        ("580.95.05", [7.0], "cu129"),  # a V100
        ("580.95.05", [12.0], "cu132"),  # an RTX 50xx
        ("580.95.05", [6.1, 9.0], "cu126"),  # both in one machine: what serves both
        ("580.95.05", [None], "cu132"),
        ("390.10", [6.1], None),
        ("580.95.05", [6.1, 12.0], None),
    ],
)
def test_the_newest_cuda_build(driver: str, capabilities: list[float | None], newest: str | None) -> None:
    builds = cuda_builds(driver, tuple(map(device, capabilities)))
    assert (builds[0] if builds else None) == newest
    assert builds == tuple(sorted(builds, key=lambda build: int(build[2:]), reverse=True))


def test_an_rtx_50_takes_nothing_older_than_cu128() -> None:
    assert "cu126" not in cuda_builds("580.95.05", (device(12.0),))


def test_windows_drivers_are_numbered_otherwise() -> None:
    assert cuda_builds("528.33", (device(8.6),), windows=True)[0] == "cu129"
    assert cuda_builds("528.32", (device(8.6),), windows=True)[0] == "cu118"


def test_the_tables_know_the_same_builds() -> None:
    assert set(CUDA_DRIVERS) == set(CUDA_CAPABILITIES)
    assert set(ROCM_SINCE.values()) <= set(ROCM_BUILDS)


@pytest.mark.parametrize(
    ("architectures", "newest", "oldest"),
    [
        (("gfx1100",), "rocm7.1", "rocm6.0"),
        (("gfx1201",), "rocm7.1", "rocm6.4"),
        (("gfx90a", "gfx950"), "rocm7.1", "rocm7.0"),
    ],
)
def test_rocm_builds(architectures: tuple[str, ...], newest: str, oldest: str) -> None:
    builds = rocm_builds(architectures)
    assert (builds[0], builds[-1]) == (newest, oldest)


HOPPER = Accelerators("550.144.03", (NvidiaDevice("H200", 9.0, 140 << 30),))
PASCAL = Accelerators("580.95.05", (NvidiaDevice("GTX 1080", 6.1, 8 << 30),))
RADEON = Accelerators(amd_architectures=("gfx1201",))


@pytest.mark.parametrize(
    ("found", "build", "words"),
    [
        (HOPPER, "cu130", "it needs the NVIDIA driver 580.65.06 or newer, and here is 550.144.03"),
        (HOPPER, "cu128", None),
        (PASCAL, "cu128", "it has code for compute capability 7.0 to 12.1, and GTX 1080 has 6.1"),
        (PASCAL, "cu126", None),
        (HOPPER, "rocm6.4", "the kernel driver offers no AMD device for computing"),
        (RADEON, "rocm6.3", "code for gfx1201 is in rocm6.4 and newer"),
        (RADEON, "rocm7.0", None),
        (Accelerators(amd_architectures=("gfx1036",)), "rocm7.0", "no build is known to have code for gfx1036"),
        (RADEON, "cu128", "no NVIDIA driver answers"),
        (RADEON, "xpu", "there is no Intel graphics device"),
        (RADEON, "mps", "there is no Apple processor"),
        (RADEON, "cpu", None),
        (HOPPER, "cu199", None),  # newer than what is known here
        (RADEON, "cu199", "no NVIDIA driver answers"),
    ],
)
def test_why_a_build_does_not_run(found: Accelerators, build: str, words: str | None) -> None:
    assert why_not(build, found, "linux-x86_64") == words


@pytest.mark.parametrize("found", [HOPPER, PASCAL, RADEON, Accelerators(intel=True), Accelerators()])
def test_every_known_build_runs_or_has_a_reason(found: Accelerators) -> None:
    usable = {item.accelerator for item in usable_accelerators(found, "linux-x86_64")}
    reasons = {build for build in KNOWN_BUILDS if why_not(build, found, "linux-x86_64")}
    assert usable - {"cpu"} == set(KNOWN_BUILDS) - reasons


def test_unknown_architectures_run_nothing() -> None:
    assert rocm_builds(()) == ()
    assert rocm_builds(("gfx1100", "gfx9999")) == ()


@pytest.mark.parametrize(
    ("number", "name"),
    [(110001, "gfx1101"), (90010, "gfx90a"), (90402, "gfx942"), (100300, "gfx1030"), (120001, "gfx1201")],
)
def test_names_of_amd_architectures(number: int, name: str) -> None:
    assert gfx_name(number) == name


def test_nvidia_smi_lines() -> None:
    text = (
        "NVIDIA H200, 550.144.03, 9.0, 143771 MiB\n"
        "Odd, name with comma, 550.144.03, [N/A], [N/A]\n"
        "No devices were found\n"
    )
    driver, devices = parse_smi(text)
    assert driver == "550.144.03"
    assert devices == (
        NvidiaDevice("NVIDIA H200", 9.0, 143771 << 20),
        NvidiaDevice("Odd, name with comma", None, None),
    )
    assert parse_smi("") == (None, ())


def names(found: Accelerators, platform: str) -> list[str]:
    """What runs."""
    return [usable.accelerator for usable in usable_accelerators(found, platform)]


def test_the_processor_is_always_there_and_last() -> None:
    assert names(Accelerators(), "linux-x86_64") == ["cpu"]
    assert names(Accelerators(apple=True), "macos-arm64") == ["mps", "cpu"]
    assert names(Accelerators(apple=True), "macos-x86_64") == ["cpu"]
    assert names(Accelerators(intel=True), "linux-x86_64") == ["xpu", "cpu"]
    assert names(Accelerators(amd_architectures=("gfx950",)), "linux-x86_64") == ["rocm7.1", "rocm7.0", "cpu"]
    assert names(Accelerators(amd_architectures=("gfx950",)), "windows-x86_64") == ["cpu"]


def test_a_choice_says_why() -> None:
    found = Accelerators(nvidia_driver="550.144.03", nvidia_devices=(device(9.0),))
    assert usable_accelerators(found, "linux-x86_64")[0].why == "a device with driver 550.144.03"


def test_this_machine_can_be_asked() -> None:
    assert isinstance(detect(), Accelerators)
