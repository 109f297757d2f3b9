"""Overlap and segment units: the conversions, and that going there and back loses nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.runtime import OverlapUnit
from stemsep_envs.registry.overlap import (
    MAX_DIVISOR,
    MEANINGS,
    MIN_DIVISOR,
    Converted,
    convert,
    is_known_meaning,
    samples_of,
    seconds_of,
    unit_of,
)

UNITS: tuple[OverlapUnit, ...] = ("ratio", "divisor", "seconds")


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (0.75, "ratio", "divisor", Converted(4)),
        (0.5, "ratio", "divisor", Converted(2)),
        (0.9, "ratio", "divisor", Converted(10)),
        (0.98, "ratio", "divisor", Converted(50)),
        (4, "divisor", "ratio", Converted(0.75)),
        (2, "divisor", "seconds", Converted(4.0)),
        (0.25, "ratio", "seconds", Converted(2.0)),
        (2, "seconds", "ratio", Converted(0.25)),
        (6, "seconds", "divisor", Converted(4)),
        (0.3, "ratio", "ratio", Converted(0.3)),
        (3, "seconds", "seconds", Converted(3)),
        (8, "divisor", "divisor", Converted(8)),
        (0, "ratio", "divisor", Converted(2, "overlap divisor 1 clamped to 2")),
        (1, "divisor", "divisor", Converted(2, "overlap divisor 1 clamped to 2")),
        (1, "divisor", "ratio", Converted(0.5, "overlap divisor 1 clamped to 2")),
        (64, "divisor", "divisor", Converted(50, "overlap divisor 64 clamped to 50")),
        (0.999, "ratio", "divisor", Converted(50, "overlap divisor 1000 clamped to 50")),
        (
            0.7,
            "ratio",
            "divisor",
            Converted(3, "overlap divisor 3.33333 rounded to 3: the runtime takes whole ones"),
        ),
    ],
)
def test_conversion(value: float, source: OverlapUnit, target: OverlapUnit, expected: Converted) -> None:
    assert convert(value, source, target, segment_seconds=8.0) == expected


@pytest.mark.parametrize(
    ("value", "source", "target", "segment", "words"),
    [
        (1, "ratio", "divisor", None, "below 1, not 1"),
        (-0.1, "ratio", "ratio", None, "at least 0"),
        (0.5, "divisor", "ratio", None, "at least 1, not 0.5"),
        (-1, "seconds", "ratio", 8, "at least 0, not -1"),
        (8, "seconds", "ratio", 8, "does not fit a segment of 8 s"),
        (2, "seconds", "divisor", None, "length of a segment"),
        (2, "divisor", "seconds", 0, "length of a segment"),
        (math.nan, "ratio", "ratio", None, "not nan"),
    ],
)
def test_refusal(value: float, source: OverlapUnit, target: OverlapUnit, segment: float | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convert(value, source, target, segment_seconds=segment)


@given(st.integers(MIN_DIVISOR, MAX_DIVISOR), st.floats(0.01, 1000))
def test_a_divisor_survives_every_way_round(divisor: int, segment: float) -> None:
    for unit in UNITS:
        there = convert(divisor, "divisor", unit, segment_seconds=segment)
        assert there.note is None
        assert convert(there.value, unit, "divisor", segment_seconds=segment) == Converted(divisor)


@given(st.floats(0, 0.999), st.floats(0.01, 1000))
def test_a_ratio_survives_seconds(ratio: float, segment: float) -> None:
    seconds = convert(ratio, "ratio", "seconds", segment_seconds=segment)
    assert math.isclose(
        convert(seconds.value, "seconds", "ratio", segment_seconds=segment).value, ratio, rel_tol=1e-9, abs_tol=1e-12
    )


@given(st.floats(0, 1, exclude_max=True), st.sampled_from(UNITS))
def test_divisor_of_any_ratio_is_whole_and_in_bounds(ratio: float, target: OverlapUnit) -> None:
    value = convert(ratio, "ratio", target, segment_seconds=10).value
    if target == "divisor":
        assert isinstance(value, int)
        assert MIN_DIVISOR <= value <= MAX_DIVISOR
    else:
        assert 0 <= value <= (1 if target == "ratio" else 10)


@pytest.mark.parametrize(
    ("value", "meaning", "native", "unit"),
    [
        (4, "divisor", "ratio", "divisor"),
        (4, "chunk_overlap_divisor", "ratio", "divisor"),
        (0.5, "ratio_0_to_1", "divisor", "ratio"),
        (4, "seconds", "divisor", "seconds"),
        (4, "auto", "divisor", "divisor"),
        (4, "auto", "ratio", "divisor"),
        (0.25, "auto", "divisor", "ratio"),
        (4, "auto", "seconds", "seconds"),
        (4, None, "divisor", "divisor"),
        (4, "divisor_or_seconds", "divisor", "divisor"),
        (4, "divisor_or_seconds", "seconds", "seconds"),
        (0.5, "divisor_or_seconds", "divisor", "seconds"),
        (0.5, "tomorrow's word", "ratio", "ratio"),
    ],
)
def test_the_unit_of_a_registry_s_number(value: float, meaning: str | None, native: OverlapUnit, unit: str) -> None:
    assert unit_of(value, meaning, native) == unit


def test_every_public_meaning_is_known() -> None:
    for meaning in ("auto", "divisor", "ratio", "divisor_or_seconds", "ratio_0_to_1", "chunk_overlap_divisor"):
        assert is_known_meaning(meaning)
    assert not is_known_meaning("percent")
    assert set(MEANINGS.values()) == set(UNITS)


@given(st.integers(1, 10**9), st.integers(8000, 192000))
def test_samples_survive_seconds(samples: int, rate: int) -> None:
    assert samples_of(seconds_of(samples, rate), rate) == samples
