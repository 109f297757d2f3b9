"""Our data classes mean what the standard library's mean."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs import records


@records.dataclass(frozen=True)
class Kept:
    """Of this module, so that it can be pickled."""

    number: int
    words: tuple[str, ...] = ()


def declared(library: Any) -> dict[str, Any]:
    """Declare the same classes with a library."""

    @library.dataclass(frozen=True)
    class Point:
        shared: ClassVar[int] = 3
        x: int
        y: float = 0.5
        made: list[int] = library.field(default_factory=list)
        hidden: str = library.field(default="h", repr=False, compare=False)

        @cached_property
        def double(self) -> int:
            return self.x * 2

    @library.dataclass(frozen=True)
    class Named(Point):
        name: str = "n"
        x: int = 7

    @library.dataclass
    class Open:
        x: int
        count: int = library.field(default=0, init=False)

        def __post_init__(self) -> None:
            self.count = self.x + 1

    @library.dataclass(frozen=True, order=True)
    class Ordered:
        major: int
        minor: int = 0

    @library.dataclass(frozen=True, eq=False, repr=False)
    class Single:
        x: int

        def __repr__(self) -> str:
            return "single"

    @library.dataclass(frozen=True)
    class Own:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

    @library.dataclass(frozen=True)
    class Empty:
        pass

    return {name: value for name, value in locals().items() if isinstance(value, type)}


OURS, THEIRS = declared(records), declared(dataclasses)


def result(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - of every kind: it is compared
        return type(error)


def told(instance: Any) -> Any:
    """Return all that can be seen of an instance."""
    if isinstance(instance, type):
        return instance
    hashed = result(lambda: hash(instance))
    return repr(instance), vars(instance), hashed if isinstance(hashed, type) else True


VALUES = st.sampled_from([0, 1, 2, 0.5, "a", (1,)])
NAMES = st.sampled_from(["x", "y", "made", "hidden", "name", "major", "minor", "count", "none"])


@given(st.sampled_from(sorted(OURS)), st.lists(VALUES, max_size=5), st.dictionaries(NAMES, VALUES, max_size=3))
def test_instances_are_made_alike(name: str, positional: list[Any], named: dict[str, Any]) -> None:
    ours, theirs = (told(result(lambda: made[name](*positional, **named))) for made in (OURS, THEIRS))  # noqa: B023
    assert ours == theirs


PAIRS = st.tuples(st.sampled_from(["Point", "Named", "Ordered", "Empty"]), st.lists(st.integers(0, 2), max_size=2))
COMPARE: list[Callable[[Any, Any], Any]] = [
    lambda one, other: one == other,
    lambda one, other: one != other,
    lambda one, other: one < other,
    lambda one, other: one >= other,
    lambda one, other: hash(one) == hash(other),
]


@given(PAIRS, PAIRS)
def test_instances_compare_alike(one: tuple[str, list[int]], other: tuple[str, list[int]]) -> None:
    outcomes = []
    for made in (OURS, THEIRS):
        pair = [result(lambda: made[name](*values)) for name, values in (one, other)]  # noqa: B023
        outcomes.append([result(lambda: compare(*pair)) for compare in COMPARE])  # noqa: B023
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_standard_library_knows_the_classes(name: str) -> None:
    ours: Any = OURS[name]
    theirs: Any = THEIRS[name]
    assert dataclasses.is_dataclass(OURS[name])
    assert ours.__match_args__ == theirs.__match_args__
    for one, other in zip(dataclasses.fields(ours), dataclasses.fields(theirs), strict=True):
        for attribute in ("name", "type", "default", "default_factory", "init", "repr", "compare"):
            assert getattr(one, attribute) == getattr(other, attribute)


def test_instances_are_copied_with_changes() -> None:
    for made in (OURS, THEIRS):
        named = made["Named"](x=1, name="a")
        for replace in (records.replace, dataclasses.replace):
            assert vars(replace(named, y=2)) == {"x": 1, "y": 2, "made": [], "hidden": "h", "name": "a"}
            assert replace(named, y=2) is not named
            with pytest.raises(TypeError):
                replace(named, none=1)
    assert vars(records.replace(OURS["Open"](1), x=4)) == {"x": 4, "count": 5}
    assert dataclasses.asdict(OURS["Point"](1)) == dataclasses.asdict(THEIRS["Point"](1))


@pytest.mark.parametrize("made", [OURS, THEIRS], ids=["ours", "theirs"])
def test_frozen_instances_cannot_be_changed(made: dict[str, Any]) -> None:
    point = made["Point"](1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert (point.double, point.shared, made["Point"].y) == (2, 3, 0.5)
    assert made["Open"].__hash__ is None


@pytest.mark.parametrize("library", [records, dataclasses], ids=["ours", "theirs"])
def test_mutable_defaults_are_refused(library: Any) -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @library.dataclass
        class Wrong:
            x: list[int] = []  # noqa: RUF012 - that is the point


def test_instances_are_copied_and_pickled() -> None:
    kept = Kept(1, ("a",))
    for again in (copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert again == kept
        assert again is not kept
