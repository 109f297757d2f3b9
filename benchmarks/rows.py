"""One line of the result, and how it comes of what was measured of both sides."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.measure import median_difference, median_ratio

Comparison = Literal["ratio", "difference", "absolute", "share"]
Unmeasured = Literal["not_possible", "failed", "interrupted"]


@dataclass(frozen=True)
class About:
    """What a row says besides its numbers.

    Attributes:
        name: What ``--rows`` calls it.
        what: What is measured, in words.
        ours_command: What was run.
        reference_command: What a user would run instead.
        bar: The most its value may be; None for a row that only informs.
        note: What a reader must know.
    """

    name: str
    what: str
    ours_command: str
    reference_command: str = ""
    bar: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One measured line of the result.

    Attributes:
        about: Its words and its bar.
        comparison: ``ratio`` ours / reference; ``difference`` ours - reference; ``absolute`` ours alone; ``share`` a
            part of a whole that is no time.
        ours: Median of our side, in seconds (bytes for a share).
        reference: Median of the other side; None where there is none.
        value: What is held against the bar: the median over the pairs, not the quotient of the medians.
        fastest: The value from the fastest of each side, which the rest of the machine disturbed least; it informs.
        n: How many pairs.
    """

    about: About
    comparison: Comparison
    ours: float
    reference: float | None
    value: float
    fastest: float | None
    n: int

    @property
    def name(self) -> str:
        """What ``--rows`` calls it."""
        return self.about.name

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        return None if self.about.bar is None else self.value <= self.about.bar


@dataclass(frozen=True)
class Missing:
    """A row that was not measured, and why.

    Attributes:
        name: The row.
        status: ``not_possible`` on this machine, ``failed``, or ``interrupted`` before it was done.
        reason: Why, in words.
    """

    name: str
    status: Unmeasured
    reason: str


Outcome = Row | Missing
Outcomes = Generator[Outcome, None, None]


@dataclass(frozen=True)
class Group:
    """Rows that are measured together because they share what is set up or timed.

    Attributes:
        name: What ``--rows`` calls all of them.
        rows: Their names, in the order in which they are measured.
        measure: Measures them, told the place; raises `NotPossibleError` where this machine cannot.
    """

    name: str
    rows: tuple[str, ...]
    measure: Callable[[Any], Outcomes]


def ratio(about: About, ours: Sequence[float], reference: Sequence[float]) -> Row:
    """Compare the seconds of pairs by their ratio."""
    fastest = min(ours) / min(reference)
    return Row(about, "ratio", median(ours), median(reference), median_ratio(ours, reference), fastest, len(ours))


def difference(about: About, ours: Sequence[float], reference: Sequence[float]) -> Row:
    """Compare the seconds of pairs by their difference."""
    value, fastest = median_difference(ours, reference), min(ours) - min(reference)
    return Row(about, "difference", median(ours), median(reference), value, fastest, len(ours))


def absolute(about: About, ours: Sequence[float]) -> Row:
    """Take the seconds of ours alone."""
    return Row(about, "absolute", median(ours), None, median(ours), min(ours), len(ours))


def share(about: About, part: float, whole: float, *, n: int = 1) -> Row:
    """Compare bytes: a part of a whole."""
    return Row(about, "share", part, whole, part / whole, None, n)
