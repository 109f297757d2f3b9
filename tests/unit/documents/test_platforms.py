"""The table of platforms: the words of each tool for them."""

from __future__ import annotations

import pytest
from packaging.markers import Marker

from stemsep_envs.documents.platforms import PLATFORMS, PlatformRow, platform_row, platforms_of


@pytest.mark.parametrize("row", PLATFORMS, ids=lambda row: row.name)
def test_a_marker_holds_on_its_platform_alone(row: PlatformRow) -> None:
    there = [
        other.name
        for other in PLATFORMS
        if Marker(row.marker).evaluate({"sys_platform": other.sys_platform, "platform_machine": other.machine})
    ]
    assert there == [row.name]


@pytest.mark.parametrize(
    ("platform", "tag", "fits"),
    [
        ("linux-x86_64", "manylinux_2_28_x86_64", True),
        ("linux-x86_64", "linux_x86_64", True),
        ("linux-x86_64", "manylinux_2_28_aarch64", False),
        ("macos-arm64", "macosx_11_0_arm64", True),
        ("macos-arm64", "macosx_11_0_universal2", True),
        ("macos-arm64", "macosx_11_0_x86_64", False),
        ("windows-x86_64", "win_amd64", True),
        ("windows-x86_64", "win_arm64", False),
        ("windows-x86_64", "any", False),
    ],
)
def test_wheels_of_a_platform(platform: str, tag: str, fits: bool) -> None:
    assert platform_row(platform).admits_wheel(tag) == fits


@pytest.mark.parametrize(
    ("platform", "built_for", "runs"),
    [
        ("linux-x86_64", "linux-x86_64", True),
        ("linux-x86_64", "manylinux-x86_64", False),
        ("macos-x86_64", "macosx-11.0-universal2", True),
        ("windows-x86_64", "win-amd64", True),
        ("windows-x86_64", "win32", False),
    ],
)
def test_interpreters_of_a_platform(platform: str, built_for: str, runs: bool) -> None:
    assert platform_row(platform).admits_interpreter(built_for) == runs


def test_a_row_s_words_agree() -> None:
    for row in PLATFORMS:
        assert row.machine.lower() in row.machines
        assert (row.least_glibc is None) == (row.system != "linux")
        if row.least_glibc is not None:
            assert row.uv.endswith("manylinux_{}_{}".format(*row.least_glibc))


def test_platforms_of_systems() -> None:
    assert platforms_of("windows", "macos") == ("macos-arm64", "macos-x86_64", "windows-x86_64")
