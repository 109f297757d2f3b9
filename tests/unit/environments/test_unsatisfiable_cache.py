"""Refusals of the resolver are remembered whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments import unsatisfiable_cache
from stemsep_envs.errors import BuildError, Reason
from stemsep_envs.host.paths import Home

INPUTS = LockInputs(parse_target("linux-x86_64-cpu"), "3.12", ("torch",), ("torch",))
ERROR = BuildError("nothing meets torch", hint="ask for less", code="unsatisfiable", output="chain", about=("torch",))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_refusal_is_recalled_with_what_it_is_about(home: Home) -> None:
    unsatisfiable_cache.remember(INPUTS, ERROR, home=home)
    known = unsatisfiable_cache.recall(INPUTS, home=home)
    assert known is not None
    reason = known.reason()
    assert (reason.code, reason.message, reason.details, reason.about) == (
        *("unsatisfiable", "nothing meets torch", "chain"),
        ("torch",),
    )
    assert vars(known.error()) == vars(ERROR)


def test_a_forgotten_refusal_is_not_recalled(home: Home) -> None:
    unsatisfiable_cache.remember(INPUTS, ERROR, home=home)
    unsatisfiable_cache.forget(INPUTS, home=home)
    assert unsatisfiable_cache.recall(INPUTS, home=home) is None


def test_another_place_to_look_recalls_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    unsatisfiable_cache.remember(INPUTS, ERROR, home=home)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://example.org/simple")
    assert unsatisfiable_cache.recall(INPUTS, home=home) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"about": 1}'])
def test_a_damaged_file_recalls_nothing(home: Home, text: str) -> None:
    unsatisfiable_cache.remember(INPUTS, ERROR, home=home)
    (home.cache_dir / "refusals" / f"{INPUTS.digest}.json").write_text(text)
    assert unsatisfiable_cache.recall(INPUTS, home=home) is None


def test_a_reason_is_about_nothing_unless_told() -> None:
    assert Reason("a", "b").about == ()
