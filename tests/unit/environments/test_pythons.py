"""Choosing among interpreters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.documents.requirements import Party, version_range
from stemsep_envs.environments.pythons import PythonChoice, choose_python
from stemsep_envs.host.interpreters import Interpreter

MakeInterpreter = Callable[..., Interpreter]
MINORS = ("3.13", "3.12", "3.11", "3.10")
ADMITTED = version_range("3.10", "3.13", Party("runtime", "engine"), "python")


def choose(found: list[Interpreter], *, locked: frozenset[str] = frozenset()) -> PythonChoice:
    """Choose for Linux."""
    return choose_python(found, ADMITTED, minors=MINORS, locked_minors=locked, platform="linux-x86_64")


def test_the_newest_that_a_shipped_lock_supports(interpreter: MakeInterpreter) -> None:
    found = [interpreter("3.13.0"), interpreter("3.12.1"), interpreter("3.11.7")]
    choice = choose(found, locked=frozenset({"3.12", "3.11"}))
    assert choice.interpreter == found[1]
    assert choice.minor == "3.12"
    assert "shipped lock" in choice.why


def test_the_newest_in_range_when_no_lock_ships(interpreter: MakeInterpreter) -> None:
    found = [interpreter("3.14.0"), interpreter("3.12.1"), interpreter("3.11.7")]
    choice = choose(found, locked=frozenset({"3.10"}))
    assert choice.interpreter == found[1]
    assert choice.refused == (
        "3.14.0 at /opt/python/3.14.0/bin/python: outside of 3.10 to 3.13 (runtime engine: python.max)",
    )


def test_of_equal_versions_the_first_found(interpreter: MakeInterpreter) -> None:
    first, second = interpreter("3.12.1", path=Path("/a/python")), interpreter("3.12.1", path=Path("/b/python"))
    assert choose([first, second]).interpreter == first


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"implementation": "pypy"}, "pypy"),
        ({"release_level": "candidate"}, "a pre-release (candidate)"),
        ({"free_threaded": True}, "free-threaded"),
        ({"platform": "linux-aarch64"}, "built for linux-aarch64"),
        ({"bits": 32}, "32-bit"),
    ],
)
def test_what_does_not_serve(interpreter: MakeInterpreter, changes: dict[str, Any], words: str) -> None:
    choice = choose([interpreter("3.12.1", **changes)])
    assert choice.interpreter is None
    assert words in choice.refused[0]


def test_none_here_means_one_to_install_with_a_lock_if_any() -> None:
    assert choose([]).minor == "3.13"
    assert choose([], locked=frozenset({"3.11", "3.10"})).minor == "3.11"
    assert choose([]).reasons == ()


def test_a_universal_build_serves_an_apple_processor(interpreter: MakeInterpreter) -> None:
    built = interpreter("3.12.1", platform="macosx-11.0-universal2")
    choice = choose_python([built], ADMITTED, minors=MINORS, locked_minors=frozenset(), platform="macos-arm64")
    assert choice.interpreter == built


def test_no_minor_at_all_is_a_reason(interpreter: MakeInterpreter) -> None:
    choice = choose_python(
        [interpreter("3.12.1")], ADMITTED, minors=(), locked_minors=frozenset(), platform="linux-x86_64"
    )
    assert choice.minor is None
    assert choice.reasons[0].code == "python_unsatisfiable"
    assert choice.reasons[0].about == ("python",)
