"""Where torch comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.torch_index import VARIABLE, resolve_arguments


@pytest.mark.parametrize(
    ("target", "place", "arguments"),
    [
        ("linux-x86_64-cu128", "", ("--torch-backend", "cu128")),
        ("linux-x86_64-cpu", "", ("--torch-backend", "cpu")),
        ("macos-arm64-mps", "", ()),
        ("linux-x86_64-cu128", "none", ()),
        (
            "linux-x86_64-cu128",
            "https://mirror.example.org/whl/",
            ("--index", "https://mirror.example.org/whl/cu128", "--index-strategy", "unsafe-best-match"),
        ),
        ("linux-x86_64-cu128", "/srv/wheels", ("--find-links", str(Path("/srv/wheels").absolute()))),
    ],
)
def test_places(target: str, place: str, arguments: tuple[str, ...]) -> None:
    assert resolve_arguments(parse_target(target), ("torch",), {VARIABLE: place}) == arguments


def test_without_torch_packages_there_is_nothing_to_look_for() -> None:
    assert resolve_arguments(parse_target("linux-x86_64-cu128"), (), {VARIABLE: "https://mirror.example.org"}) == ()
