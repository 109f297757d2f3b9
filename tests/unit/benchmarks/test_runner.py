"""Rows that fail, cannot run or are interrupted cost nothing but themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from benchmarks.measure import NotPossibleError
from benchmarks.rows import Group, Missing, Outcome, Outcomes, Row
from benchmarks.runner import chosen, measure

MakeRow = Callable[..., Row]


class Ran:
    """A runner's outcomes, and how often it tidied up."""

    def __init__(self, *groups: Group, names: tuple[str, ...] = ()) -> None:
        self.outcomes: list[Outcome] = []
        self.tidied = 0
        self.came_to_its_end = measure(chosen(groups, names), "the place", self.outcomes.append, tidy=self._tidy)

    def _tidy(self) -> None:
        self.tidied += 1

    @property
    def told(self) -> list[tuple[str, str]]:
        return [
            (outcome.name, outcome.status if isinstance(outcome, Missing) else "measured") for outcome in self.outcomes
        ]


@pytest.fixture
def group(row: MakeRow) -> Callable[..., Group]:
    """Make a group of two rows, one of which is measured before an error is raised."""

    def make(name: str, error: BaseException | None = None) -> Group:
        def rows(place: object) -> Outcomes:
            assert place == "the place"
            yield row(f"{name}-1")
            if error is not None:
                raise error
            yield row(f"{name}-2")

        return Group(name, (f"{name}-1", f"{name}-2"), rows)

    return make


MakeGroup = Callable[..., Group]
MEASURED_AFTER = [("after-1", "measured"), ("after-2", "measured")]


def test_a_failing_row_does_not_stop_the_others(group: MakeGroup, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(group("bad", RuntimeError("x" * 2000 + " the end")), group("after"))
    assert ran.told == [("bad-1", "measured"), ("bad-2", "failed"), *MEASURED_AFTER]
    failed = ran.outcomes[1]
    assert isinstance(failed, Missing)
    assert failed.reason.startswith("RuntimeError: ")
    assert failed.reason.endswith(" the end")
    assert len(failed.reason) < 1000
    assert "Traceback" in capsys.readouterr().err
    assert (ran.came_to_its_end, ran.tidied) == (True, 2)


def test_a_row_that_cannot_run_says_why(group: MakeGroup) -> None:
    ran = Ran(group("odd", NotPossibleError("bubblewrap is not installed")), group("after"))
    assert ran.told == [("odd-1", "measured"), ("odd-2", "not_possible"), *MEASURED_AFTER]
    assert ran.outcomes[1] == Missing("odd-2", "not_possible", "bubblewrap is not installed")
    assert ran.came_to_its_end


def test_an_interrupt_keeps_what_was_measured(group: MakeGroup) -> None:
    ran = Ran(group("before"), group("cut", KeyboardInterrupt()), group("after"))
    assert ran.told == [
        ("before-1", "measured"),
        ("before-2", "measured"),
        ("cut-1", "measured"),
        ("cut-2", "interrupted"),
        ("after-1", "interrupted"),
        ("after-2", "interrupted"),
    ]
    assert not ran.came_to_its_end


def test_a_row_is_kept_before_the_next_is_measured(row: MakeRow) -> None:
    kept: list[Outcome] = []

    def rows(_place: object) -> Outcomes:
        yield row("one")
        assert [outcome.name for outcome in kept] == ["one"]
        yield row("two")

    measure(chosen([Group("g", ("one", "two"), rows)], ()), None, kept.append, tidy=lambda: None)
    assert [outcome.name for outcome in kept if isinstance(outcome, Row)] == ["one", "two"]


def test_a_group_that_forgets_a_row_is_told(row: MakeRow) -> None:
    ran = Ran(Group("g", ("one", "two"), lambda _place: (row(name) for name in ("one",))))
    assert ran.told == [("one", "measured"), ("two", "failed")]


def test_a_single_row_ends_its_group_early(row: MakeRow) -> None:
    ended: list[str] = []

    def rows(_place: object) -> Outcomes:
        try:
            yield row("one")
            yield row("two")
            yield row("three")
        finally:
            ended.append("tidied up")

    ran = Ran(Group("g", ("one", "two", "three"), rows), names=("two",))
    assert ran.told == [("one", "measured"), ("two", "measured")]
    assert ended == ["tidied up"]


def test_groups_and_rows_are_chosen_by_name(group: MakeGroup) -> None:
    groups = [group("a"), group("b"), group("c")]
    assert chosen(groups, ("c", "a-2")) == [
        (groups[0], frozenset({"a-2"})),
        (groups[2], frozenset({"c-1", "c-2"})),
    ]
    assert [one for one, _ in chosen(groups, ())] == groups


def test_unknown_names_are_refused_with_those_there_are(group: MakeGroup) -> None:
    with pytest.raises(ValueError, match=r"^no row x; there are a \(a-1, a-2\)$"):
        chosen([group("a")], ("a", "x"))
