"""Runtimes that a registry names and that are not here."""

from __future__ import annotations

from collections.abc import Callable

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.registry.runtime_names import unknown_runtimes

Entry = Callable[..., ModelEntry]
HERE = ("tiny-engine", "waltz")


def found(*entries: ModelEntry, here: tuple[str, ...] = HERE) -> list[tuple[str | None, str, str | None]]:
    return [(reason.path, reason.message, reason.hint) for reason in unknown_runtimes(entries, here)]


def test_known_runtimes_give_no_warning(entry: Entry) -> None:
    known = entry(runtime={"allowed": ["tiny-engine", "waltz"], "preferred": "waltz", "model_type": "plain"})
    assert found(known) == []


def test_a_misspelt_runtime_is_told_with_the_nearest(entry: Entry) -> None:
    known = entry(runtime={"allowed": ["waltz"], "model_type": "plain"})
    misspelt = entry(runtime={"allowed": ["waltz", "tinyengine"], "preferred": "waltz", "model_type": "plain"})
    assert found(known, misspelt) == [
        (
            "models[1].runtime.allowed[1]",
            "there is no recipe for the runtime tinyengine here",
            "did you mean tiny-engine?",
        )
    ]


def test_an_entry_without_any_runtime_here_says_so(entry: Entry) -> None:
    lost = entry(id="lost", runtime={"allowed": ["xyz"], "preferred": "xyz", "model_type": "plain"})
    here = "runtimes here: tiny-engine, waltz"
    assert found(lost) == [
        ("models[0].runtime.allowed[0]", "there is no recipe for the runtime xyz here", here),
        ("models[0].runtime.preferred", "there is no recipe for the runtime xyz here", here),
        (
            "models[0].runtime.allowed",
            "lost cannot run here: none of the runtimes that it allows has a recipe",
            here,
        ),
    ]


def test_without_runtimes_the_hint_says_none(entry: Entry) -> None:
    assert found(entry(), here=())[0][2] == "runtimes here: none"


def test_a_blocked_entry_may_allow_none(entry: Entry) -> None:
    blocked = entry(runtime={"allowed": []}, status={"readiness": "blocked", "blocking_reason": "it hums"})
    assert found(blocked) == []
