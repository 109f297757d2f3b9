"""How a row comes of what was measured."""

from __future__ import annotations

import pytest
from benchmarks.rows import About, absolute, difference, ratio, share

ABOUT = About("row", "a row", "ours", bar=2.0)


def test_rows_are_medians_over_pairs_beside_the_fastest() -> None:
    ours, reference = [3.0, 4.0, 8.0], [1.0, 2.0, 2.0]
    row = ratio(ABOUT, ours, reference)
    assert (row.ours, row.reference, row.value, row.fastest, row.n) == (4.0, 2.0, 3.0, 3.0, 3)
    row = difference(ABOUT, ours, reference)
    assert (row.comparison, row.value, row.fastest) == ("difference", 2.0, 2.0)
    row = absolute(ABOUT, ours)
    assert (row.reference, row.value, row.fastest) == (None, 4.0, 3.0)
    row = share(ABOUT, 5, 100)
    assert (row.value, row.fastest, row.n) == (0.05, None, 1)


@pytest.mark.parametrize(("seconds", "met"), [([2.0], True), ([2.1], False)])
def test_a_bar_is_met_up_to_itself(seconds: list[float], met: bool) -> None:
    assert absolute(ABOUT, seconds).met is met
    assert absolute(About("row", "a row", "ours"), seconds).met is None
