"""Ranges, their intersection, and the normal form of requirements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from stemsep_envs.documents.requirements import (
    Bound,
    Party,
    Range,
    Source,
    normalize,
    version_range,
)

versions = st.lists(st.integers(0, 15), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
bounds = st.none() | versions.map(lambda text: Bound(text, Source(Party("runtime", "r"), "python")))
ranges = st.builds(Range, bounds, bounds)


@given(ranges, ranges, versions)
def test_the_intersection_admits_exactly_what_both_admit(a: Range, b: Range, text: str) -> None:
    version = Version(text)
    assert a.intersect(b).admits(version) == (a.admits(version) and b.admits(version))


@given(ranges, ranges)
def test_the_intersection_does_not_depend_on_the_order(a: Range, b: Range) -> None:
    assert a.intersect(b).specifier() == b.intersect(a).specifier()


@given(ranges, ranges, ranges)
def test_the_intersection_is_associative(a: Range, b: Range, c: Range) -> None:
    assert a.intersect(b).intersect(c) == a.intersect(b.intersect(c))


@given(ranges, versions)
def test_an_empty_range_admits_nothing(bounds: Range, text: str) -> None:
    if bounds.empty:
        assert not bounds.admits(Version(text))


@given(ranges, versions)
def test_the_specifier_says_what_the_range_admits(bounds: Range, text: str) -> None:
    assert SpecifierSet(bounds.specifier()).contains(text) == bounds.admits(Version(text))


@pytest.mark.parametrize(
    ("high", "inside", "outside"),
    [("3.13", "3.13.5", "3.14.0"), ("2.3.1", "2.3.1", "2.3.2"), ("2", "2.9.9", "3.0"), ("2.3", "2.3.1", "2.4")],
)
def test_an_upper_end_covers_what_begins_with_it(high: str, inside: str, outside: str) -> None:
    bounds = version_range(None, high, Party("model", "m"), "requirements.python")
    assert bounds.admits(Version(inside))
    assert not bounds.admits(Version(outside))


def test_a_range_remembers_who_set_each_end() -> None:
    runtime = version_range("3.10", "3.14", Party("runtime", "dsp"), "python")
    model = version_range("3.9", "3.12", Party("model", "m"), "requirements.python")
    merged = runtime.intersect(model)
    assert str(merged) == "3.10 to 3.12"
    assert merged.lower is not None
    assert merged.upper is not None
    assert str(merged.lower.source) == "runtime dsp: python.min"
    assert merged.upper.source.registry_path == "requirements.python.max"
    assert merged.lower.source.registry_path is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [("3.10", None, "3.10 or newer"), (None, "3.12", "up to 3.12"), (None, None, "any version")],
)
def test_open_ranges_in_words(low: str | None, high: str | None, words: str) -> None:
    assert str(version_range(low, high, Party("runtime", "r"), "python")) == words


def test_normal_form_joins_demands_for_one_package() -> None:
    lines = normalize(
        ["Torch_Harmonics>=0.7", "numpy<3", "numpy >= 1.26", "soundfile[extra]", 'x; python_version<"3.12"']
    )
    assert lines == (
        "numpy<3,>=1.26",
        "soundfile[extra]",
        "torch-harmonics>=0.7",
        'x ; python_version < "3.12"',
    )


@given(st.permutations(["numpy<3", "numpy>=1.26", "av", "Soxr>=0.5"]))
def test_normal_form_does_not_depend_on_the_order(texts: list[str]) -> None:
    assert normalize(texts) == normalize(["av", "numpy<3", "numpy>=1.26", "soxr>=0.5"])
