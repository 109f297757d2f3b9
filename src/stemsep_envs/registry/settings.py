"""Settings: what a model runs with, each value with where it came from.

From weakest to strongest: the runtime's default, the registry's ``recommended_settings``, its hardware tier for the
memory of this device, its ``runtime_settings`` for this runtime, the command line. The registry and the command line
speak of overlap and segments in their own units; what comes out is in the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.registry_settings import HardwareTier
from stemsep_envs.documents.run import ResolvedSetting
from stemsep_envs.documents.runtime import RuntimeRecipe, SettingDeclaration, SettingValue
from stemsep_envs.errors import Reason, UsageError
from stemsep_envs.registry.overlap import is_known_meaning
from stemsep_envs.registry.setting_units import Offer, Remark, Terms, Wish, WishUnit, offers_for

RUNTIME_DEFAULT = "runtime default"
RECOMMENDED = "model recommended_settings"
FOR_RUNTIME = "model runtime_settings"
COMMAND_LINE = "command line"

_INFORMATIONAL = {"bit_depth"}
"""Recommendations that are no settings of an engine: how stems are written is the user's choice."""

_QUOTED_CHARACTERS = 40

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Settings:
    """Every setting that the runtime declares for a model, in the runtime's units.

    Attributes:
        values: By name; a value of None leaves the choice to the engine.
        errors: Recommendations that the runtime cannot follow and that nothing overrides.
        warnings: What was left out, clamped or rounded.
    """

    values: Mapping[str, ResolvedSetting]
    errors: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()


def resolve_settings(
    entry: ModelEntry,
    recipe: RuntimeRecipe,
    *,
    options: Mapping[str, SettingValue] | None = None,
    assignments: Sequence[str] = (),
    vram_gb: float | None = None,
    sample_rate: int | None = None,
) -> Settings:
    """Resolve the settings of a model on a runtime.

    Args:
        entry: The model.
        recipe: The runtime chosen for it.
        options: What options of the command line's own say: ``overlap`` as a ratio, ``segment`` in seconds, the others
            (``batch_size``, ``shifts``, ``tta``, ``precision``) as the runtime declares them.
        assignments: ``name=value`` for settings by the runtime's own names, in its own units.
        vram_gb: Memory of the device in GB, 0 for a CPU; None applies no hardware tier.
        sample_rate: The model's sample rate in Hz, needed between a segment's samples and seconds; None for the one
            that its type fixes, if any.

    Raises:
        UsageError: Options or assignments that the runtime does not have or take; all of them are named.
    """
    word = entry.runtime.model_type_on(recipe.id) or ""
    model_type = recipe.model_types.get(word)
    terms = Terms(
        recipe=recipe,
        model_type=word,
        declared=recipe.declared_settings(word),
        meaning=entry.settings_semantics.overlap.meaning_by_runtime.get(recipe.id),
        sample_rate=sample_rate or (model_type.sample_rate if model_type else None),
    )
    wishes = [
        *_recommended(entry),
        *_of_tier(entry, vram_gb),
        *_of_runtime(entry, recipe.id),
        *_of_options(options or {}),
        *_of_assignments(assignments, terms.declared),
    ]
    offers = offers_for(wishes, terms)
    _refuse_mistakes(tuple(offer for offer in offers if offer.wish.source == COMMAND_LINE), terms)
    winners = {offer.name: offer for offer in offers if offer.name in terms.declared}
    ignored = [offer for offer in offers if offer.name not in terms.declared]
    return Settings(
        values={name: _resolved(declaration, winners.get(name)) for name, declaration in terms.declared.items()},
        errors=tuple(_errors(winners.values())),
        warnings=(*_notes(winners.values()), *_left_out(ignored), *_meaning_doubt(terms, wishes)),
    )


def tier_for(entry: ModelEntry, vram_gb: float) -> tuple[int, HardwareTier] | None:
    """Return the hardware tier of a device, with its index: of those whose range holds its memory, the highest.

    Registries write 5.99 for "below 6"; a device between 5.99 and 6 belongs to that tier too.
    """
    fitting = [
        (index, tier)
        for index, tier in enumerate(entry.hardware_tiers)
        if (tier.min_vram_gb or 0) <= vram_gb and (tier.max_vram_gb is None or vram_gb < tier.max_vram_gb + 0.01)
    ]
    return max(fitting, key=lambda item: item[1].min_vram_gb or 0, default=None)


def _recommended(entry: ModelEntry) -> Iterator[Wish]:
    units: dict[str, WishUnit] = {"overlap": "as stated", "segment_size": "samples"}
    for name, value in entry.recommended_settings:
        if value is not None and name not in _INFORMATIONAL:
            yield Wish(name, value, units.get(name, "own"), RECOMMENDED, f"recommended_settings.{name}")


def _of_tier(entry: ModelEntry, vram_gb: float | None) -> Iterator[Wish]:
    found = tier_for(entry, vram_gb) if vram_gb is not None else None
    if found is None:
        return
    index, tier = found
    source, path = f"hardware_tiers[{tier.tier or index}]", f"hardware_tiers[{index}]"
    if tier.recommended_segment_size is not None:
        segment = tier.recommended_segment_size
        yield Wish("segment_size", segment, "samples", source, f"{path}.recommended_segment_size")
    if tier.recommended_overlap is not None:
        yield Wish("overlap", tier.recommended_overlap, "as stated", source, f"{path}.recommended_overlap")


def _of_runtime(entry: ModelEntry, runtime_id: str) -> Iterator[Wish]:
    for name, value in entry.runtime_settings.get(runtime_id, {}).items():
        if value is not None:
            yield Wish(name, value, "own", FOR_RUNTIME, f"runtime_settings.{runtime_id}.{name}")


def _of_options(options: Mapping[str, SettingValue]) -> Iterator[Wish]:
    units: dict[str, WishUnit] = {"overlap": "ratio", "segment": "seconds"}
    for name, value in options.items():
        yield Wish(name, value, units.get(name, "own"), COMMAND_LINE, f"--{name.replace('_', '-')}")


def _of_assignments(assignments: Sequence[str], declared: Mapping[str, SettingDeclaration]) -> Iterator[Wish]:
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not name or not equals:
            raise UsageError(f"--set {assignment}: write NAME=VALUE", code="setting_invalid")
        value = _read(text, declared[name].type) if name in declared else text
        yield Wish(name, value, "own", COMMAND_LINE, f"--set {name}")


def _read(text: str, kind: str) -> SettingValue:
    """Read a value by its declared type; text that is none is left as it is, for the declaration to refuse."""
    try:
        if kind == "bool":
            return _TRUTH[text.lower()]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except (ValueError, KeyError):
        return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…"
    return text


def _refuse_mistakes(offers: Sequence[Offer], terms: Terms) -> None:
    mistakes = [(offer.problem.code, f"{offer.wish.path}: {offer.problem.words}") for offer in offers if offer.problem]
    first: dict[str, str] = {}
    for offer in offers:
        if offer.name in first:
            mistakes.append(("setting_invalid", f"{offer.wish.path}: {first[offer.name]} sets {offer.name} already"))
        first.setdefault(offer.name, offer.wish.path)
    if mistakes:
        codes = {code for code, _ in mistakes}
        raise UsageError(
            "; ".join(words for _, words in mistakes),
            hint=f"settings of {terms.recipe.id} for this model: {', '.join(terms.declared) or 'none'}",
            code=codes.pop() if len(codes) == 1 else "setting_invalid",
        )


def _resolved(declaration: SettingDeclaration, offer: Offer | None) -> ResolvedSetting:
    if offer is None or offer.problem is not None:
        return ResolvedSetting(value=declaration.default, unit=declaration.unit, source=RUNTIME_DEFAULT)
    return ResolvedSetting(value=offer.value, unit=declaration.unit, source=offer.wish.source)


def _errors(winners: Iterable[Offer]) -> Iterator[Reason]:
    for offer in winners:
        if offer.problem is not None:
            yield _reason(offer, offer.problem, hint=f"give a value with --set {offer.name}=VALUE")


def _notes(winners: Iterable[Offer]) -> Iterator[Reason]:
    for offer in winners:
        if offer.note is not None:
            yield _reason(offer, offer.note)


def _left_out(ignored: Iterable[Offer]) -> Iterator[Reason]:
    for offer in ignored:
        words = f"{offer.problem.words}; it is left out" if offer.problem else "it is left out"
        yield _reason(offer, Remark("setting_ignored", words))


def _reason(offer: Offer, remark: Remark, hint: str | None = None) -> Reason:
    return Reason(
        remark.code, f"{offer.wish.path} = {offer.wish.value}: {remark.words}", hint=hint, path=offer.wish.path
    )


def _meaning_doubt(terms: Terms, wishes: Iterable[Wish]) -> Iterator[Reason]:
    if terms.meaning is None or is_known_meaning(terms.meaning) or terms.overlap is None:
        return
    if any(wish.unit == "as stated" for wish in wishes):
        yield Reason(
            "meaning_unknown",
            f"overlap as {terms.meaning!r} is not known here; taken as the runtime's own {terms.overlap.unit}",
            path=f"settings_semantics.overlap.meaning_by_runtime.{terms.recipe.id}",
        )
