"""Overlap and segment length in the units that engines use, and the way from one to another.

Consecutive segments of length L start every L·(1 - r) for an overlap *ratio* r. Engines that take a *divisor* N start
one every L/N, so N = 1/(1 - r) and r = (N - 1)/N. Engines that take *seconds* want the shared stretch itself, L·r.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from stemsep_envs.documents.runtime import OverlapUnit

MIN_DIVISOR = 2
MAX_DIVISOR = 50
"""Divisors outside 2…50 are clamped: below, segments meet in audible seams; above, only the time taken grows."""

MEANINGS: dict[str, OverlapUnit] = {
    "ratio": "ratio",
    "ratio_0_to_1": "ratio",
    "divisor": "divisor",
    "chunk_overlap_divisor": "divisor",
    "seconds": "seconds",
}
"""The words of ``settings_semantics.overlap.meaning_by_runtime`` that name one unit."""

_LEFT_TO_THE_RUNTIME = {"auto", "divisor_or_seconds"}


@dataclass(frozen=True)
class Converted:
    """An overlap in the unit asked for, and in words what had to be done to it (None: nothing)."""

    value: int | float
    note: str | None = None


def is_known_meaning(meaning: str) -> bool:
    """Say whether a registry's word for the meaning of overlap is one that `unit_of` knows."""
    return meaning in MEANINGS or meaning in _LEFT_TO_THE_RUNTIME


def unit_of(value: float, meaning: str | None, native: OverlapUnit) -> OverlapUnit:
    """Say which unit a registry's overlap is in.

    Args:
        value: The number in the registry.
        meaning: Its ``meaning_by_runtime`` for the chosen runtime; None when the registry says nothing.
        native: The chosen runtime's own unit.

    A meaning that names one unit is taken at its word. ``auto``, ``divisor_or_seconds``, an unknown word and silence
    stand for the runtime's own unit, as far as the number can be that: a ratio is below 1, a divisor at least 1.
    """
    stated = MEANINGS.get(meaning or "")
    if stated is not None:
        return stated
    if native == "seconds":
        return "seconds"
    if value >= 1:
        return "divisor"
    return "seconds" if meaning == "divisor_or_seconds" else "ratio"


def problem_with(value: float, unit: OverlapUnit) -> str | None:
    """Say in words why ``value`` is no overlap in ``unit``, or None when it is one."""
    if unit == "ratio":
        return None if 0 <= value < 1 else f"an overlap ratio is at least 0 and below 1, not {value:g}"
    if unit == "divisor":
        return None if value >= 1 else f"an overlap divisor is at least 1, not {value:g}"
    return None if value >= 0 else f"an overlap in seconds is at least 0, not {value:g}"


def convert(value: float, source: OverlapUnit, target: OverlapUnit, *, segment_seconds: float | None) -> Converted:
    """Express an overlap of unit ``source`` in unit ``target``. Divisors are clamped to 2…50 and come out whole.

    Args:
        value: The overlap; a ratio in [0, 1), a divisor ≥ 1 or seconds ≥ 0.
        source: Its unit.
        target: The unit wanted.
        segment_seconds: How long a segment is; needed between seconds and the other two.

    Raises:
        ValueError: The value is no overlap in its unit; or the segment's length is needed, and is unknown or not longer
            than the overlap.
    """
    problem = problem_with(value, source)
    if problem is not None:
        raise ValueError(problem)
    if source == target != "divisor":
        return Converted(value)
    if source == "divisor":
        divisor = _clamped(value)
        if target == "divisor":
            return _whole(divisor)
        ratio = (divisor.value - 1) / divisor.value
        return Converted(ratio if target == "ratio" else ratio * _known(segment_seconds), divisor.note)
    ratio = value if source == "ratio" else _share(value, _known(segment_seconds))
    if target == "divisor":
        return _whole(_clamped(1 / (1 - ratio)))
    return Converted(ratio if target == "ratio" else ratio * _known(segment_seconds))


def _share(overlap_seconds: float, segment_seconds: float) -> float:
    if overlap_seconds >= segment_seconds:
        raise ValueError(f"an overlap of {overlap_seconds:g} s does not fit a segment of {segment_seconds:g} s")
    return overlap_seconds / segment_seconds


def _known(segment_seconds: float | None) -> float:
    if segment_seconds is None or segment_seconds <= 0:
        raise ValueError("an overlap in seconds needs the length of a segment, which is not known here")
    return segment_seconds


def _clamped(divisor: float) -> Converted:
    if MIN_DIVISOR <= divisor <= MAX_DIVISOR:
        return Converted(divisor)
    nearest = MIN_DIVISOR if divisor < MIN_DIVISOR else MAX_DIVISOR
    # 1/(1 - r) of r = 0.98 lies a rounding error beyond 50: nothing worth telling.
    told = abs(divisor - nearest) > 1e-6
    return Converted(nearest, f"overlap divisor {divisor:g} clamped to {nearest}" if told else None)


def _whole(divisor: Converted) -> Converted:
    """Round to the nearest whole divisor; 1/(1 - 0.9) is 10.000000000000002 and means 10."""
    whole = round(divisor.value)
    if divisor.note is None and abs(divisor.value - whole) > 1e-6:
        return Converted(whole, f"overlap divisor {divisor.value:g} rounded to {whole}: the runtime takes whole ones")
    return Converted(whole, divisor.note)


def seconds_of(samples: float, sample_rate: int) -> float:
    """Length of ``samples`` at ``sample_rate`` Hz, in seconds."""
    return samples / sample_rate


def samples_of(seconds: float, sample_rate: int) -> int:
    """Return the whole number of samples nearest to ``seconds`` at ``sample_rate`` Hz, exact halves to the even one."""
    return round(Fraction(seconds) * sample_rate)
