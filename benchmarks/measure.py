"""Timing whole processes, in pairs that alternate, so that what else the machine does meets both sides alike."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Comparison = Literal["ratio", "difference", "absolute", "share"]
Timed = Callable[[], float]
"""Does one thing and returns the seconds it took; what must be prepared first it does before its clock starts."""


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        name: What ``--rows`` calls it.
        what: What is measured, in words.
        comparison: ``ratio`` ours / reference; ``difference`` ours - reference; ``absolute`` ours alone; ``share`` a
            part of a whole that is no time.
        ours: Median of our side, in seconds (bytes for a share).
        reference: Median of the other side; None where there is none.
        value: What is held against the bar: the median over the pairs, not the quotient of the medians.
        bar: The most it may be; None for a row that only informs.
        n: How many pairs.
        fastest: The value from the fastest of each side, which the rest of the machine disturbed least; it informs.
        ours_command: What was run.
        reference_command: What a user would run instead.
        note: What a reader must know.
    """

    name: str
    what: str
    comparison: Comparison
    ours: float
    reference: float | None
    value: float
    bar: float | None
    n: int
    ours_command: str
    reference_command: str = ""
    fastest: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one."""
        return None if self.bar is None else self.value <= self.bar


def timed(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Run a process to its end; return the seconds it took.

    Raises:
        RuntimeError: It failed.
    """
    began = time.perf_counter()
    done = subprocess.run(argv, env=env, capture_output=True, check=False)
    elapsed = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return elapsed


def in_turns(sides: Sequence[Timed], *, n: int, warm_ups: int = 1) -> list[list[float]]:
    """Time all sides ``n`` times, one after another, every other round in reverse; return the times of each side."""
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(-warm_ups, n):
        order = range(len(sides)) if turn % 2 else range(len(sides) - 1, -1, -1)
        for index in order:
            elapsed = sides[index]()
            if turn >= 0:
                times[index].append(elapsed)
    return times


def median_ratio(ours: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median of the ratios of pairs."""
    return median(one / other for one, other in zip(ours, reference, strict=True))


def median_difference(ours: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median of the differences of pairs."""
    return median(one - other for one, other in zip(ours, reference, strict=True))


def fastest_ratio(ours: Sequence[float], reference: Sequence[float]) -> float:
    """Return the ratio of the fastest of each side."""
    return min(ours) / min(reference)
