"""Rules about how a model runs: runtimes, variants, kinds, requirements, settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.registry_settings import HardwareTier
from stemsep_envs.documents.runtime import OverlapUnit, Variant
from stemsep_envs.registry.lint.subject import Defect, Entry, Subject
from stemsep_envs.registry.overlap import MAX_DIVISOR, MIN_DIVISOR, problem_with, unit_of

_USUAL_KINDS = {
    "BS-Roformer": "bs_roformer",
    "Mel-Roformer": "mel_band_roformer",
    "MDX23C": "mdx23c",
    "HTDemucs": "htdemucs",
    "Apollo": "apollo",
}
"""What engines usually call the kind of an architecture that has one kind; SCNet and BandIt have several. Holds for
runtimes that have a kind of that name."""

_SHARED_KINDS = frozenset({"htdemucs"})
"""Kinds that engines use for other architectures too."""

_TOUCHING_GB = 0.011
"""Registries write 5.99 for "below 6": such ranges touch."""


def runtime_unreachable(subject: Subject) -> Iterator[Defect]:
    """Find models whose runtime, the one that is taken unless the user names another, has no recipe."""
    for entry in subject.entries:
        runtime = entry.model.runtime
        taken = runtime.preferred or next(iter(runtime.allowed), None)
        if taken is not None and taken not in subject.recipes:
            field = "runtime.preferred" if runtime.preferred else "runtime.allowed[0]"
            yield Defect(entry, field, f"there is no recipe for {taken}; here: {', '.join(sorted(subject.recipes))}")


def runtime_unknown(subject: Subject) -> Iterator[Defect]:
    """Find further runtimes that are allowed and have no recipe."""
    for entry in subject.entries:
        runtime = entry.model.runtime
        taken = runtime.preferred or next(iter(runtime.allowed), None)
        for index, name in enumerate(runtime.allowed):
            if name != taken and name not in subject.recipes:
                yield Defect(entry, f"runtime.allowed[{index}]", f"there is no recipe for {name}")


def preference_missing(subject: Subject) -> Iterator[Defect]:
    """Find models that several runtimes may run and that prefer none."""
    for entry in subject.entries:
        runtime = entry.model.runtime
        if len(runtime.allowed) > 1 and runtime.preferred is None:
            words = f"{', '.join(runtime.allowed)} are allowed and none is preferred: the order decides"
            yield Defect(entry, "runtime.preferred", words)


def model_type_missing(subject: Subject) -> Iterator[Defect]:
    """Find models that do not say which kind of the runtime's they are."""
    for entry in subject.entries:
        runtime = entry.model.runtime
        silent = [name for name, _ in subject.recipes_of(entry) if runtime.model_type_on(name) is None]
        if not silent:
            continue
        word = _USUAL_KINDS.get(entry.model.architecture)
        known = word is not None and all(word in subject.recipes[name].model_types for name in silent)
        edits = (entry.put(word, "runtime", "model_type"),) if known else ()
        yield Defect(
            entry, "runtime.model_type", f"which kind of model of {', '.join(silent)} it is, is not said", edits
        )


def model_type_unknown(subject: Subject) -> Iterator[Defect]:
    """Find kinds that the runtime does not have."""
    for entry in subject.entries:
        runtime = entry.model.runtime
        for name, recipe in subject.recipes_of(entry):
            word = runtime.model_type_on(name)
            if word is not None and word not in recipe.model_types:
                words = f"{word!r} is no kind of model of {name} (those are {', '.join(recipe.model_types)})"
                yield Defect(entry, runtime.model_type_path(name), words)


def model_type_unused(subject: Subject) -> Iterator[Defect]:
    """Find kinds that are given for runtimes which may not run the model."""
    for entry in subject.entries:
        runtime = entry.model.runtime
        for name in runtime.model_types:
            if name not in runtime.allowed:
                yield Defect(
                    entry, f"runtime.model_types.{name}", f"{name} is not allowed, so that nobody asks for this"
                )


def variant_unknown(subject: Subject) -> Iterator[Defect]:
    """Find variants that a runtime does not have."""
    for entry in subject.entries:
        variant = entry.model.runtime.variant
        for name, recipe in subject.recipes_of(entry):
            if variant is not None and variant not in recipe.variants:
                words = f"{name} has no variant {variant!r} (its are {', '.join(recipe.variants) or 'none'})"
                yield Defect(entry, "runtime.variant", words)


def variant_without_patch(subject: Subject) -> Iterator[Defect]:
    """Find models whose variant takes a file of theirs that they do not name."""
    for entry in subject.entries:
        for variant in _variants(subject, entry):
            for patch in variant.patches:
                source = getattr(patch, "source", "") or ""
                wanted = source.partition("artifact:")[2]
                if wanted and not _brings(entry.model, wanted):
                    words = f"the variant {entry.model.runtime.variant} takes {wanted!r} from the model, which has none"
                    yield Defect(entry, "artifacts.additional", words)


def variant_unpinned(subject: Subject) -> Iterator[Defect]:
    """Find models that ask for another or any version of a package that their variant needs in one."""
    for entry in subject.entries:
        packages = entry.model.requirements.pip.packages
        for variant in _variants(subject, entry):
            for pin in map(Requirement, variant.packages):
                for index, text in enumerate(packages):
                    asked = Requirement(text)
                    if canonicalize_name(asked.name) == canonicalize_name(pin.name) and asked != pin:
                        edit = entry.put(str(pin), "requirements", "pip", "packages", index)
                        words = f"{text!r}, but the variant {entry.model.runtime.variant} needs {pin}"
                        yield Defect(entry, f"requirements.pip.packages[{index}]", words, (edit,))


def variant_requirement_missing(subject: Subject) -> Iterator[Defect]:
    """Find models that do not name a package that their variant needs in one certain version."""
    for entry in subject.entries:
        asked = [canonicalize_name(Requirement(text).name) for text in entry.model.requirements.pip.packages]
        for variant in _variants(subject, entry):
            pins = [pin for pin in map(Requirement, variant.packages) if _is_pinned(pin)]
            missing = [str(pin) for pin in pins if canonicalize_name(pin.name) not in asked]
            if missing:
                packages = [*entry.model.requirements.pip.packages, *missing]
                words = f"the variant {entry.model.runtime.variant} needs {', '.join(missing)}, which is not named"
                edit = entry.put(packages, "requirements", "pip", "packages")
                yield Defect(entry, "requirements.pip.packages", words, (edit,))


def variant_of_another_kind(subject: Subject) -> Iterator[Defect]:
    """Find variants whose patches are of the source of other kinds of networks than the model's."""
    for entry in subject.entries:
        for name, recipe in subject.recipes_of(entry):
            variant = recipe.variants.get(entry.model.runtime.variant or "")
            kind = entry.model.runtime.model_type_on(name) or _USUAL_KINDS.get(entry.model.architecture)
            if variant is None or kind is None:
                continue
            changed = {part for patch in variant.patches for part in PurePosixPath(patch.path).parts}
            kinds = sorted(changed & {*recipe.model_types, *_USUAL_KINDS.values()})
            if kinds and kind not in kinds:
                words = f"{entry.model.runtime.variant} changes {', '.join(kinds)}, and the model is a {kind}"
                yield Defect(entry, "runtime.variant", words)


def architecture_contradicts(subject: Subject) -> Iterator[Defect]:
    """Find architectures that are not those of the kind of model that a runtime is told."""
    architectures = {kind: name for name, kind in _USUAL_KINDS.items() if kind not in _SHARED_KINDS}
    for entry in subject.entries:
        kinds = [entry.model.runtime.model_type_on(runtime_id) for runtime_id in entry.model.runtime.allowed]
        for kind in dict.fromkeys(kinds):
            expected = architectures.get(kind or "")
            if expected is not None and expected != entry.model.architecture:
                yield Defect(entry, "architecture", f"{entry.model.architecture}, but {kind} is a {expected}")


def package_unpinned(subject: Subject) -> Iterator[Defect]:
    """Find packages of no certain version."""
    for entry in subject.entries:
        for index, text in enumerate(entry.model.requirements.pip.packages):
            requirement = Requirement(text)
            if not _is_pinned(requirement):
                words = f"{text!r} is whatever version is newest when a lock is made"
                yield Defect(entry, f"requirements.pip.packages[{index}]", words)


def requirements_empty(subject: Subject) -> Iterator[Defect]:
    """Find models that ask for nothing at all."""
    for entry in subject.entries:
        needs = entry.model.requirements
        asks = (
            needs.python.min,
            needs.python.max,
            needs.torch.min,
            needs.torch.max,
            needs.torch.builds(),
        )
        if entry.model.runtime.allowed and not (
            any(asks) or needs.pip.packages or needs.files.expects or needs.files.provides or needs.manual_steps
        ):
            yield Defect(entry, "requirements", "nothing is asked for, not even a range of Pythons")


def overlap_impossible(subject: Subject) -> Iterator[Defect]:
    """Find overlaps that cannot be, in the unit that the entry states."""
    for entry in subject.entries:
        for path, value in _overlaps(entry.model):
            for runtime_id, unit in _units(subject, entry, value):
                problem = problem_with(value, unit)
                if problem is not None:
                    yield Defect(entry, path, f"{problem} (on {runtime_id})")
                    break


def overlap_clamped(subject: Subject) -> Iterator[Defect]:
    """Find overlaps as divisors that are taken as 2 or 50."""
    for entry in subject.entries:
        for path, value in _overlaps(entry.model):
            units = {unit for _, unit in _units(subject, entry, value)}
            if "divisor" in units and value >= 1 and not MIN_DIVISOR <= value <= MAX_DIVISOR:
                yield Defect(
                    entry, path, f"a divisor of {value:g} is taken as the nearest of {MIN_DIVISOR} to {MAX_DIVISOR}"
                )


def overlap_unstated(subject: Subject) -> Iterator[Defect]:
    """Find overlaps whose unit the entry leaves to the runtime."""
    for entry in subject.entries:
        overlaps = list(_overlaps(entry.model))
        for runtime_id in entry.model.runtime.allowed if overlaps else ():
            meaning = entry.model.settings_semantics.overlap.meaning_by_runtime.get(runtime_id)
            if meaning in {None, "auto", "divisor_or_seconds"}:
                value = overlaps[0][1]
                words = f"whether {value:g} is a ratio, a divisor or seconds on {runtime_id} is not said"
                yield Defect(entry, f"settings_semantics.overlap.meaning_by_runtime.{runtime_id}", words)


def tiers_overlap(subject: Subject) -> Iterator[Defect]:
    """Find ranges of device memory that belong to several tiers."""
    for entry in subject.entries:
        for (index, tier), (_, below) in _neighbours(entry.model):
            if below.max_vram_gb is None or (tier.min_vram_gb or 0) + _TOUCHING_GB < below.max_vram_gb:
                words = f"begins at {tier.min_vram_gb or 0:g} GB, where {below.tier or 'another tier'} has not ended"
                yield Defect(entry, f"hardware_tiers[{index}].min_vram_gb", words)


def tiers_gap(subject: Subject) -> Iterator[Defect]:
    """Find device memory between two tiers that belongs to none."""
    for entry in subject.entries:
        for (index, tier), (_, below) in _neighbours(entry.model):
            low = tier.min_vram_gb or 0
            if below.max_vram_gb is not None and below.max_vram_gb > 0 and low > below.max_vram_gb + _TOUCHING_GB:
                words = f"devices of {below.max_vram_gb:g} to {low:g} GB belong to no tier"
                yield Defect(entry, f"hardware_tiers[{index}].min_vram_gb", words)


def _variants(subject: Subject, entry: Entry) -> Iterator[Variant]:
    for _, recipe in subject.recipes_of(entry):
        variant = recipe.variants.get(entry.model.runtime.variant or "")
        if variant is not None:
            yield variant


def _is_pinned(requirement: Requirement) -> bool:
    return requirement.url is not None or any(clause.operator in {"==", "==="} for clause in requirement.specifier)


def _brings(model: ModelEntry, wanted: str) -> bool:
    files = list(model.artifacts.each())
    by_name = any(wanted in {name, artifact.filename} for name, artifact in files)
    return by_name or sum(artifact.kind == wanted for _, artifact in files) == 1


def _overlaps(model: ModelEntry) -> Iterator[tuple[str, int | float]]:
    if model.recommended_settings.overlap is not None:
        yield "recommended_settings.overlap", model.recommended_settings.overlap
    for index, tier in enumerate(model.hardware_tiers):
        if tier.recommended_overlap is not None:
            yield f"hardware_tiers[{index}].recommended_overlap", tier.recommended_overlap


def _units(subject: Subject, entry: Entry, value: float) -> Iterator[tuple[str, OverlapUnit]]:
    """Yield the unit that an overlap is in for each runtime that may run the model and spells overlap at all."""
    meanings = entry.model.settings_semantics.overlap.meaning_by_runtime
    for runtime_id in entry.model.runtime.allowed:
        recipe = subject.recipes.get(runtime_id)
        native = recipe.overlap.unit if recipe is not None and recipe.overlap is not None else None
        meaning = meanings.get(runtime_id)
        if native is not None or meaning is not None:
            yield runtime_id, unit_of(value, meaning, native or "divisor")


def _neighbours(model: ModelEntry) -> Iterator[tuple[tuple[int, HardwareTier], tuple[int, HardwareTier]]]:
    """Yield each tier with the one below it, by the least memory; tiers for processors alone are none of them."""
    tiers = sorted(
        ((index, tier) for index, tier in enumerate(model.hardware_tiers) if tier.max_vram_gb != 0),
        key=lambda item: item[1].min_vram_gb or 0,
    )
    yield from zip(tiers[1:], tiers, strict=False)
