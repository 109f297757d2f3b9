"""What stems are called: as the engine does, and as the registry says where that is not what a musician means."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def stems(module: Callable[[str], ModuleType]) -> Any:
    return module("stems")


def config(instruments: list[str], target: str | None = None) -> dict[str, Any]:
    return {"training": {"instruments": instruments, "target_instrument": target}}


@pytest.mark.parametrize(
    ("instruments", "target", "called", "names", "residuals"),
    [
        (["vocals", "other"], "vocals", {}, ["vocals"], [("instrumental", 0), ("other", 0)]),
        (["vocals", "other"], "vocals", {"other": "instrumental"}, ["vocals"], [("instrumental", 0)]),
        (["other", "vocals"], "other", {}, ["other"], [("instrumental", 0), ("vocals", 0)]),
        (["other", "vocals"], "other", {"other": "instrumental"}, ["instrumental"], [("vocals", 0)]),
        (["Vocals", "Instrumental"], None, {}, ["vocals", "instrumental"], []),
        (["Vocals", "Instrumental"], "Instrumental", {}, ["instrumental"], [("vocals", 0)]),
        (["drums", "vocals"], None, {"vocals": "lead"}, ["drums", "lead"], [("instrumental", 1)]),
        (["kick", "snare"], None, {}, ["kick", "snare"], [("instrumental", 0)]),
        (["A", "a"], None, {}, ["A", "a"], [("instrumental", 0)]),
    ],
)
def test_names(
    stems: Any,
    instruments: list[str],
    target: str | None,
    called: dict[str, str],
    names: list[str],
    residuals: list[tuple[str, int]],
) -> None:
    assert stems.stem_names(config(instruments, target), "generic", called) == (names, residuals)


def test_instrumental_model_does_not_swap_its_stems(stems: Any) -> None:
    names, residuals = stems.stem_names(config(["other", "vocals"], "other"), "generic", {"other": "instrumental"})
    assert names.index("instrumental") == 0
    assert "instrumental" not in [residual.name for residual in residuals]


def test_other_names_are_read(stems: Any) -> None:
    assert stems.called("", ["vocals"]) == {}
    assert stems.called("Other = instrumental, vocals=lead", ["vocals", "Other"]) == {
        "other": "instrumental",
        "vocals": "lead",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("other", "is not NAME=STEM"),
        ("=x", "is not NAME=STEM"),
        ("other=", "is not NAME=STEM"),
        ("drums=x", "the model has no 'drums'"),
        ("other=vocals", "two stems would be called alike"),
    ],
)
def test_other_names_that_cannot_be(stems: Any, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stems.called(text, ["vocals", "other"])
