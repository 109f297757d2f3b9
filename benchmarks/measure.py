"""Timing whole processes, in pairs that alternate, so that what else the machine does meets both sides alike."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Timed = Callable[[], float]
"""Does one thing and returns the seconds it took; what must be prepared first it does before its clock starts."""
_BLOCKED = 6
"""The exit code by which `stemsep-env` says that this machine cannot do what was asked."""


class NotPossibleError(Exception):
    """A row cannot be measured on this machine; its words say why."""


def output_of(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Run a process to its end; return what it printed.

    Raises:
        NotPossibleError: Preflight or the sandbox policy refuses on this machine.
        RuntimeError: It failed.
    """
    done = subprocess.run(argv, env=env, capture_output=True, check=False)
    if done.returncode == 0:
        return done.stdout.decode()
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode == _BLOCKED:
        raise NotPossibleError(words or "this machine cannot do it")
    raise RuntimeError(f"{' '.join(map(str, argv))} ended with {done.returncode}: {words}")


def answer_of(argv: Sequence[str], env: Mapping[str, str]) -> Any:
    """Run a process that answers in JSON; return the answer.

    Raises:
        NotPossibleError: This machine cannot do it: the process says so by its exit code, or answers with
            ``{"not_possible": REASON}``.
        RuntimeError: It failed.
    """
    answer = json.loads(output_of(argv, env))
    if isinstance(answer, dict) and "not_possible" in answer:
        raise NotPossibleError(answer["not_possible"])
    return answer


def timed(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """Run a process to its end; return the seconds it took.

    Raises:
        NotPossibleError: Preflight or the sandbox policy refuses on this machine.
        RuntimeError: It failed.
    """
    began = time.perf_counter()
    output_of(argv, env)
    return time.perf_counter() - began


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
