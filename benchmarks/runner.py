"""Measuring groups of rows one after another: what fails or cannot run is a row that says so, and the rest goes on."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import closing

from benchmarks.measure import NotPossibleError
from benchmarks.rows import Group, Missing, Outcome, Outcomes, Unmeasured

_REASON_CHARACTERS = 600
"""The end of what a failing program said; the whole of it is in the traceback."""


def chosen(groups: Sequence[Group], names: Collection[str]) -> list[tuple[Group, frozenset[str]]]:
    """Return the groups that the names ask for, each with the rows that are wanted of it.

    Args:
        groups: All there are.
        names: Of groups or of single rows; empty for everything.

    Raises:
        ValueError: A name that is neither; says which there are.
    """
    known = {name for group in groups for name in (group.name, *group.rows)}
    unknown = sorted(set(names) - known)
    if unknown:
        listed = "; ".join(f"{group.name} ({', '.join(group.rows)})" for group in groups)
        raise ValueError(f"no row {', '.join(unknown)}; there are {listed}")
    wanted = [
        (group, frozenset(group.rows if not names or group.name in names else set(names) & set(group.rows)))
        for group in groups
    ]
    return [(group, rows) for group, rows in wanted if rows]


def measure(
    wanted: Sequence[tuple[Group, frozenset[str]]],
    place: object,
    keep: Callable[[Outcome], None],
    *,
    tidy: Callable[[], None],
) -> bool:
    """Measure groups, and hand each row on as soon as it is there.

    A group is left when all rows that are wanted of it are there; rows on the way to them are kept as well.

    Args:
        wanted: From `chosen`.
        place: What the groups are told.
        keep: Stores a row.
        tidy: Called after each group, so that what it left does not disturb the next.

    Returns:
        Whether it came to its end; False when it was interrupted: every row that is then still wanted says so.
    """
    for number, (group, rows) in enumerate(wanted):
        print(f"measuring {group.name} ...", file=sys.stderr, flush=True)
        left = [name for name in group.rows if name in rows]
        try:
            for outcome in _until(group.measure(place), left):
                keep(outcome)
        except NotPossibleError as error:
            _keep_missing(left, "not_possible", str(error), keep)
        except KeyboardInterrupt:
            later = [name for other, names in wanted[number + 1 :] for name in other.rows if name in names]
            _keep_missing([*left, *later], "interrupted", "interrupted before it was measured", keep)
            return False
        except Exception as error:  # noqa: BLE001 - a row's own fault must not cost the other rows
            traceback.print_exc()
            _keep_missing(left, "failed", f"{type(error).__name__}: {str(error)[-_REASON_CHARACTERS:]}", keep)
        else:
            _keep_missing(left, "failed", "its group ended without it", keep)
        tidy()
    return True


def _until(outcomes: Outcomes, left: list[str]) -> Outcomes:
    """Yield outcomes and take their names out of `left`; stop when it is empty."""
    with closing(outcomes):  # what a group set up is removed now, not some time later
        for outcome in outcomes:
            if outcome.name in left:
                left.remove(outcome.name)
            yield outcome
            if not left:
                return


def _keep_missing(names: Sequence[str], status: Unmeasured, reason: str, keep: Callable[[Outcome], None]) -> None:
    for name in names:
        keep(Missing(name, status, reason))
