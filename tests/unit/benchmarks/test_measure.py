"""Processes that are timed."""

from __future__ import annotations

import os
import sys

import pytest
from benchmarks.measure import NotPossibleError, answer_of, in_turns, median_difference, median_ratio, timed


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended with 5: it broke"):
        timed(python("import sys; print('it broke', file=sys.stderr); sys.exit(5)"), os.environ)


def test_a_process_that_is_blocked_is_not_possible() -> None:
    with pytest.raises(NotPossibleError, match="no sandbox here"):
        timed(python("import sys; print('no sandbox here', file=sys.stderr); sys.exit(6)"), os.environ)


def test_an_answer_may_say_it_is_not_possible() -> None:
    assert answer_of(python("print('[1]')"), os.environ) == [1]
    with pytest.raises(NotPossibleError, match="no probe holds"):
        answer_of(python("""print('{"not_possible": "no probe holds"}')"""), os.environ)


def test_sides_take_turns_and_warm_ups_do_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    times = in_turns([lambda: side("a"), lambda: side("b")], n=2, warm_ups=1)
    assert "".join(order) == "abbaab"
    assert times == [[4.0, 5.0], [3.0, 6.0]]


def test_medians_are_over_pairs() -> None:
    assert median_ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == 3.0
    assert median_difference([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == 3.0
