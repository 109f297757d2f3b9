"""Plain values pass through a pickle, the table and back as they were."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .assembling import converted

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 300), 1 << 300)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.binary(max_size=200)
)
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(max_size=9) | st.floats(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.builds(OrderedDict, st.dictionaries(KEYS, inner, max_size=5))
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=40,
)


def same(first: Any, second: Any) -> bool:
    """Equality that tells types, signs of zero and orders apart, and takes nan for nan."""
    if type(first) is not type(second):
        return False
    if isinstance(first, float):
        return first.hex() == second.hex() and (
            math.isnan(first) or math.copysign(1, first) == math.copysign(1, second)
        )
    if isinstance(first, complex):
        return same(first.real, second.real) and same(first.imag, second.imag)
    if isinstance(first, dict):
        return len(first) == len(second) and all(
            same(mine, other) and same(first[mine], second[other]) for mine, other in zip(first, second, strict=True)
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


@settings(max_examples=400)
@given(VALUES, st.integers(0, 5))
def test_values_come_back(tmp_path_factory: pytest.TempPathFactory, value: Any, protocol: int) -> None:
    made, report, facts = converted(tmp_path_factory.getbasetemp(), pickle.dumps(value, protocol))
    assert same(made, value)
    assert report["inert"] == []
    assert facts.tensors == 0


def test_what_is_shared_and_what_contains_itself_stays_so(tmp_path: Path) -> None:
    shared: list[Any] = [1]
    value: dict[str, Any] = {"a": shared, "b": (shared, shared)}
    value["self"] = [value]
    made, _, _ = converted(tmp_path, pickle.dumps(value))
    assert made["a"] is made["b"][0] is made["b"][1]
    assert made["self"][0] is made


def test_much_that_is_shared_stays_small(tmp_path: Path) -> None:
    value: Any = "ha"
    for _ in range(60):
        value = [value, value]
    converted(tmp_path, pickle.dumps(value))
    assert (tmp_path / "m.safetensors").stat().st_size < 5000
