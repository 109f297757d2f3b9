"""Platforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.platforms import PLATFORM_NAMES
from stemsep_envs.host import machine as machine_module
from stemsep_envs.host.machine import memory_bytes, platform_named, this_machine


@pytest.mark.parametrize(
    ("system", "processor", "platform"),
    [
        ("linux", "x86_64", "linux-x86_64"),
        ("linux", "aarch64", "linux-aarch64"),
        ("linux", "arm64", "linux-aarch64"),
        ("darwin", "arm64", "macos-arm64"),
        ("darwin", "x86_64", "macos-x86_64"),
        ("win32", "AMD64", "windows-x86_64"),
        ("win32", "ARM64", None),
        ("linux", "riscv64", None),
        ("freebsd14", "x86_64", None),
    ],
)
def test_platforms(system: str, processor: str, platform: str | None) -> None:
    assert platform_named(system, processor) == platform


def test_this_machine_is_one_of_them() -> None:
    machine = this_machine()
    assert machine.platform in PLATFORM_NAMES
    if machine.platform.startswith("linux") and machine.glibc is not None:
        assert machine.glibc >= (2, 17)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine_module, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(machine_module, "_OWN_GROUPS", tmp_path / "own")
    (tmp_path / "memory").mkdir()
    return tmp_path


def test_memory_is_what_a_container_is_limited_to(groups: Path) -> None:
    limits = (groups / "memory.max", groups / "memory" / "memory.limit_in_bytes")
    whole = memory_bytes()
    assert whole is not None
    limits[0].write_text("max\n")
    limits[1].write_text("9223372036854771712\n")
    assert memory_bytes() == whole
    limits[0].write_text("1000000\n")
    assert memory_bytes() == 1_000_000


@pytest.mark.parametrize(
    ("own", "mounted", "name"),
    [
        ("0::/service/inner/leaf\n", ".", "memory.max"),
        ("3:cpu:/other\n2:memory,pids:/service/inner/leaf\n0::/\n", "memory", "memory.limit_in_bytes"),
    ],
)
def test_memory_is_the_least_that_any_outer_group_is_limited_to(
    groups: Path, own: str, mounted: str, name: str
) -> None:
    (groups / "own").write_text(own)
    leaf = groups / mounted / "service" / "inner" / "leaf"
    leaf.mkdir(parents=True)
    for folder, limit in ((leaf, 3_000_000), (leaf.parent, 2_000_000), (leaf.parents[1], 5_000_000)):
        (folder / name).write_text(f"{limit}\n")
    assert memory_bytes() == 2_000_000


def test_groups_outside_of_what_a_container_sees_are_not_asked(groups: Path) -> None:
    (groups / "own").write_text("0::/../../host\n")
    assert memory_bytes() is not None
