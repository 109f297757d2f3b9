"""Weights told by their names: what passes, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.recipes import make_recipe

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.runtime import WeightNames
from stemsep_envs.errors import InvalidDocumentError
from stemsep_envs.registry.weights import variants_of, weights_reasons

BROUGHT = {"kind": "add", "path": "net.py", "source": "artifact:patch"}
RECIPE = make_recipe(
    id="toy",
    variants={
        "first": {"description": "1", "weights": {"have": [r"(^|\.)branch\."], "lack": [r"\.more\."]}},
        "second": {"description": "2", "weights": {"have": [r"\.more\."]}, "patches": [BROUGHT]},
        "silent": {"description": "does not say"},
    },
)
STOCK, FIRST, SECOND = ["net.0.weight"], ["net.0.weight", "branch.0.weight"], ["branch.more.bias", "branch.0.weight"]


@pytest.mark.parametrize(
    ("names", "variant"),
    [(STOCK, None), (FIRST, "first"), (SECOND, "second"), (STOCK, "silent"), (SECOND, "silent"), ([], None)],
)
def test_what_fits_passes(names: Sequence[str], variant: str | None) -> None:
    assert weights_reasons(names, RECIPE, variant) == ()


@pytest.mark.parametrize(
    ("names", "variant", "message", "hint"),
    [
        (FIRST, None, "those of the variant first; the registry names no variant", "set runtime.variant"),
        (FIRST, "second", "those of the variant first; the registry says second", "of the entry to first"),
        (SECOND, "first", "those of the variant second; the registry says first", "name the module file"),
        (STOCK, "first", "those of the engine without any variant; the registry says first", "take runtime.variant"),
    ],
)
def test_what_does_not_is_told_with_the_way_out(
    names: Sequence[str], variant: str | None, message: str, hint: str
) -> None:
    (reason,) = weights_reasons(iter(names), RECIPE, variant)
    assert (reason.code, reason.path) == ("variant_mismatch", "runtime.variant")
    assert message in reason.message
    assert hint in (reason.hint or "")


def test_marks_that_are_no_pattern_are_refused_at_their_place() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        validate({"have": ["fine", "(open"], "lack": ["*"]}, WeightNames, origin="it")
    assert {problem.path for problem in caught.value.problems} == {"have[1]", "lack[0]"}
    with pytest.raises(InvalidDocumentError):
        validate({"have": []}, WeightNames, origin="it")


def test_nothing_is_told_of_a_runtime_without_marks() -> None:
    assert variants_of(SECOND, RECIPE.model_copy(update={"variants": {}})) == ()
