"""What this machine has, and which builds of torch run on what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.accelerator_family import Device, Found, MachineView
from stemsep_envs.documents.accelerators import KNOWN_BUILDS, amd_found, family_named, nvidia_found
from stemsep_envs.documents.platforms import PLATFORM_NAMES
from stemsep_envs.host import accelerators
from stemsep_envs.host.accelerators import Accelerators, detect, memory_gb, usable_accelerators, why_not

HOPPER = {"cuda": nvidia_found("550.144.03", Device("H200", "9.0", 140 << 30))}
PASCAL = {"cuda": nvidia_found("580.95.05", Device("GTX 1080", "6.1", 8 << 30))}
RADEON = {"rocm": amd_found("gfx1201")}
INTEL = {"xpu": Found("an Intel graphics device")}
APPLE = {"mps": Found("an Apple processor with Metal")}


@pytest.mark.parametrize("found", [HOPPER, PASCAL, RADEON, INTEL, APPLE, {}])
@pytest.mark.parametrize("platform", PLATFORM_NAMES)
def test_every_known_build_runs_or_has_a_reason(found: Accelerators, platform: str) -> None:
    usable = {item.accelerator for item in usable_accelerators(found, platform)}
    reasons = {build for build in KNOWN_BUILDS if why_not(build, found, platform)}
    assert usable - {"cpu"} == set(KNOWN_BUILDS) - reasons


def names(found: Accelerators, platform: str) -> list[str]:
    return [usable.accelerator for usable in usable_accelerators(found, platform)]


def test_the_processor_is_always_there_and_last() -> None:
    assert names({}, "linux-x86_64") == ["cpu"]
    assert names(APPLE, "macos-arm64") == ["mps", "cpu"]
    assert names(APPLE, "macos-x86_64") == ["cpu"]
    assert names(INTEL, "linux-x86_64") == ["xpu", "cpu"]
    assert names({"rocm": amd_found("gfx950")}, "linux-x86_64") == ["rocm7.1", "rocm7.0", "cpu"]
    assert names({"rocm": amd_found("gfx950")}, "windows-x86_64") == ["cpu"]


def test_a_choice_says_why() -> None:
    assert usable_accelerators(HOPPER, "linux-x86_64")[0].why == "H200 with driver 550.144.03"


def test_why_not_asks_the_row_of_the_build() -> None:
    assert why_not("cu130", HOPPER, "linux-x86_64") == family_named("cuda").why_not(
        "cu130", HOPPER["cuda"], "linux-x86_64"
    )
    assert why_not("rocm6.4", HOPPER, "linux-x86_64") == family_named("rocm").absent


@pytest.mark.parametrize(
    ("build", "found", "gigabytes"),
    [
        ("cu128", {"cuda": nvidia_found("580.1", Device("a", None, 8 * 10**9), Device("b", None, 6 * 10**9))}, 6.0),
        ("cu128", {"cuda": nvidia_found("580.1", Device("a"))}, None),
        ("cu128", {}, None),
        ("rocm6.4", HOPPER, None),
        ("cpu", HOPPER, 0.0),
    ],
)
def test_memory_is_that_of_the_smallest_device(build: str, found: Accelerators, gigabytes: float | None) -> None:
    assert memory_gb(build, found) == gigabytes


class Untouched:
    """A machine that must not be looked at."""

    platform = None

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} is asked for")


def test_nothing_is_looked_for_where_the_processor_does() -> None:
    machine: MachineView = Untouched()  # type: ignore[assignment]
    assert detect(("cpu",), machine=machine) == {}


def test_this_machine_can_be_asked() -> None:
    assert "cpu" not in detect()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineView:
    """Look at this machine, with a folder of programs of our own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return accelerators._ThisMachine()


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_program_is_asked_where_it_is(here: MachineView, tmp_path: Path) -> None:
    script(tmp_path, "tool", 'echo "said $1"')
    assert here.ask("tool", "this") == "said this\n"
    beside = tmp_path / "beside"
    beside.mkdir()
    script(beside, "other", "echo there")
    assert here.ask("other") is None
    assert here.ask("other", also_in=str(beside)) == "there\n"


def test_a_program_that_fails_says_nothing(here: MachineView, tmp_path: Path) -> None:
    script(tmp_path, "tool", "echo words; exit 9")
    assert here.ask("tool") is None


def test_files_that_cannot_be_read_are_not_there(here: MachineView, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(b"\xff text")
    assert here.read(f"{tmp_path}/a") == "\ufffd text"
    assert here.read(f"{tmp_path}/c") is None
    assert here.exists(f"{tmp_path}/a")
    assert not here.exists(f"{tmp_path}/c")
    assert here.glob(f"{tmp_path}/*") == (f"{tmp_path}/a", f"{tmp_path}/b")
