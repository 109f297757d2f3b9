"""Targets as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from stemsep_envs.documents.target import Target, parse_target

LINUX_BUILDS = ["cpu", "xpu", "cu118", "cu128", "cu130", "rocm6.4", "rocm6.2.4"]


@given(st.sampled_from(["linux-x86_64", "linux-aarch64", "windows-x86_64"]), st.sampled_from(LINUX_BUILDS))
def test_what_is_written_is_what_is_read(platform: str, accelerator: str) -> None:
    target = parse_target(f"{platform}-{accelerator}")
    assert (target.platform, target.accelerator) == (platform, accelerator)
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linux", "is not a target"),
        ("linux-x86_64", "is not a target"),
        ("linux-ppc64-cpu", "is not a target"),
        ("linux-x86_64-gpu", "is not an accelerator"),
        ("linux-x86_64-cu1", "is not an accelerator"),
        ("linux-x86_64-rocm6", "is not an accelerator"),
        ("linux-x86_64-mps", "mps exists on macos-arm64 only"),
        ("macos-x86_64-mps", "mps exists on macos-arm64 only"),
        ("macos-arm64-cu128", "macos-arm64 has no cu128: mps or cpu"),
        ("macos-x86_64-cu128", "macos-x86_64 has no cu128: cpu"),
        ("linux-x86_64-cpu\n", "is not a target"),
        (None, "is not a target"),
    ],
)
def test_what_is_no_target(text: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_target(text)


def test_pydantic_reads_and_writes_its_text() -> None:
    adapter = TypeAdapter(Target)
    target = adapter.validate_json('"linux-x86_64-cu128"')
    assert target == Target("linux-x86_64", "cu128")
    assert adapter.dump_json(target) == b'"linux-x86_64-cu128"'
    assert adapter.json_schema()["type"] == "string"


@pytest.mark.parametrize(
    ("accelerator", "device"), [("cpu", "cpu"), ("cu128", "cuda"), ("rocm6.4", "cuda"), ("mps", "mps"), ("xpu", "xpu")]
)
def test_devices(accelerator: str, device: str) -> None:
    assert Target("linux-x86_64", accelerator).device == device
