"""What is asked of a setting, brought into the name, unit and type that the runtime takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stemsep_envs.documents.runtime import (
    OverlapDeclaration,
    RuntimeRecipe,
    SegmentDeclaration,
    SettingDeclaration,
    SettingValue,
)
from stemsep_envs.registry.overlap import convert, samples_of, seconds_of, unit_of

WishUnit = Literal["as stated", "ratio", "samples", "seconds", "own"]


@dataclass(frozen=True)
class Wish:
    """What somebody asks for.

    Attributes:
        name: The setting, in the runtime's words when ``unit`` is ``own``.
        value: In ``unit``.
        unit: For overlap ``ratio``, or ``as stated`` by the registry for this runtime; for the segment ``samples`` or
            ``seconds``; ``own`` is the runtime's, whatever it is.
        source: Who asks, in the words of the answer.
        path: The registry field, or the option.
    """

    name: str
    value: SettingValue
    unit: WishUnit
    source: str
    path: str


@dataclass(frozen=True)
class Remark:
    """A stable code and words."""

    code: str
    words: str


@dataclass(frozen=True)
class Offer:
    """A wish in the runtime's terms: its setting and value, or what is wrong; and what was done to it on the way."""

    wish: Wish
    name: str
    value: SettingValue | None = None
    problem: Remark | None = None
    note: Remark | None = None


@dataclass(frozen=True)
class Terms:
    """What a runtime takes for one model, and what the registry means by overlap on it.

    Attributes:
        recipe: The runtime.
        model_type: Its kind of model.
        declared: Its settings for the model's type.
        meaning: ``settings_semantics.overlap.meaning_by_runtime`` for it, or None.
        sample_rate: The model's, in Hz, or None when it is not known.
    """

    recipe: RuntimeRecipe
    model_type: str
    declared: Mapping[str, SettingDeclaration]
    meaning: str | None
    sample_rate: int | None

    @property
    def overlap(self) -> OverlapDeclaration | None:
        """How overlap is spelled here."""
        return self.recipe.overlap_of(self.model_type)

    @property
    def segment(self) -> SegmentDeclaration | None:
        """How the length of a chunk is spelled here."""
        return self.recipe.segment_of(self.model_type)


def offers_for(wishes: Sequence[Wish], terms: Terms) -> tuple[Offer, ...]:
    """Bring wishes into the runtime's terms, in the same order; of those for one setting, the last is to win."""
    offers: dict[int, Offer] = {}
    overlaps: list[tuple[int, Wish]] = []
    for index, wish in enumerate(wishes):
        if wish.unit in {"as stated", "ratio"}:
            overlaps.append((index, wish))
        elif wish.unit in {"samples", "seconds"}:
            offers[index] = _segment(wish, terms)
        else:
            offers[index] = _checked(wish, wish.name, wish.value, terms)
    # An overlap in seconds is a part of the segment that will be used, so segments are settled first.
    segment_seconds = _segment_seconds(tuple(offers.values()), terms) if overlaps else None
    offers |= {index: _overlap(wish, terms, segment_seconds) for index, wish in overlaps}
    return tuple(offers[index] for index in range(len(wishes)))


def _checked(wish: Wish, name: str, value: SettingValue, terms: Terms, note: Remark | None = None) -> Offer:
    """Offer ``value`` if the runtime has the setting and takes the value."""
    declaration = terms.declared.get(name)
    if declaration is None:
        unknown = f"{terms.recipe.id} has no setting {name!r} for this model"
        return Offer(wish, name, problem=Remark("setting_unknown", unknown))
    refusal = declaration.problem_with(value) if _is_sane(value) else "must be a finite number of sane size"
    if refusal is not None:
        return Offer(wish, name, problem=Remark("setting_invalid", f"{name} {refusal}"))
    return Offer(wish, name, value, note=note)


def _overlap(wish: Wish, terms: Terms, segment_seconds: float | None) -> Offer:
    spelled = terms.overlap
    number = _number(wish.value)
    if spelled is None or number is None:
        return _checked(wish, spelled.setting if spelled else wish.name, wish.value, terms)
    unit = "ratio" if wish.unit == "ratio" else unit_of(number, terms.meaning, spelled.unit)
    try:
        converted = convert(number, unit, spelled.unit, segment_seconds=segment_seconds)
    except ValueError as error:
        return Offer(wish, spelled.setting, problem=Remark("overlap_unusable", str(error)))
    note = Remark("overlap_adjusted", converted.note) if converted.note else None
    return _checked(wish, spelled.setting, converted.value, terms, note)


def _segment(wish: Wish, terms: Terms) -> Offer:
    spelled = terms.segment
    number = _number(wish.value)
    if spelled is None or number is None or wish.unit == spelled.unit:
        return _checked(wish, spelled.setting if spelled else wish.name, wish.value, terms)
    if terms.sample_rate is None:
        words = f"a segment in {wish.unit} becomes {spelled.unit} by the model's sample rate, which is not known here"
        return Offer(wish, spelled.setting, problem=Remark("segment_unusable", words))
    if spelled.unit == "seconds":
        return _checked(wish, spelled.setting, seconds_of(number, terms.sample_rate), terms)
    samples = samples_of(number, terms.sample_rate)
    if samples < 1:
        words = f"a segment of {number:g} s holds no sample"
        return Offer(wish, spelled.setting, problem=Remark("segment_unusable", words))
    return _checked(wish, spelled.setting, samples, terms)


def _segment_seconds(offers: Sequence[Offer], terms: Terms) -> float | None:
    """Return the length of the segments that will be used, in seconds; None when it is not known."""
    spelled = terms.segment
    if spelled is None:
        return None
    value = terms.declared[spelled.setting].default
    for offer in offers:
        if offer.name == spelled.setting and offer.problem is None:
            value = offer.value
    number = None if value is None else _number(value)
    if number is None or spelled.unit == "seconds":
        return number
    return seconds_of(number, terms.sample_rate) if terms.sample_rate else None


def _number(value: SettingValue) -> int | float | None:
    """Return a usable number as it is, and None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_sane(value):
        return None
    return value


def _is_sane(value: SettingValue) -> bool:
    """Say whether a value may be calculated with: NaN passes every comparison, and huge integers are no floats."""
    if isinstance(value, int):
        return abs(value) < 1 << 64
    return not isinstance(value, float) or math.isfinite(value)
