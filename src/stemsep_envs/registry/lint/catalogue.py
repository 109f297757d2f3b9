"""Rules about what an entry says of its model, and about entries beside each other: stems, names, metrics, status."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from stemsep_envs.documents.problems import dotted_path
from stemsep_envs.registry.lint.subject import Defect, Entry, Subject

_STEM_COUNT = re.compile(r"\b(\d{1,2})[- ]?stems?\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")
_METRICS = ("sdr", "fullness", "bleedless")


def stems_missing(subject: Subject) -> Iterator[Defect]:
    """Find models that do not say what they make."""
    for entry in subject.entries:
        if not entry.model.stems and not entry.stopped:
            yield Defect(entry, "stems", "which stems it makes is not said, so that a run must name them")


def stems_contradict(subject: Subject) -> Iterator[Defect]:
    """Find stems that differ from those under capabilities, or from those that the kind of model always makes."""
    for entry in subject.entries:
        stems, capable = entry.model.stems, entry.model.capabilities.stems
        if stems and capable and set(stems) != set(capable):
            words = f"{', '.join(capable)}, but stems are {', '.join(stems)}"
            yield Defect(entry, "capabilities.stems", words)
        for name, recipe in subject.recipes_of(entry):
            kind = recipe.model_types.get(entry.model.runtime.model_type_on(name) or "")
            fixed = kind.stems if kind is not None else None
            if stems and fixed is not None and set(stems) != set(fixed):
                words = f"{', '.join(stems)}, but on {name} such a model makes {', '.join(fixed)}"
                yield Defect(entry, "stems", words)


def stem_count(subject: Subject) -> Iterator[Defect]:
    """Find names that promise another number of stems than there are."""
    for entry in subject.entries:
        match = _STEM_COUNT.search(entry.model.name) or _STEM_COUNT.search(entry.model.id)
        if match is not None and entry.model.stems and int(match[1]) != len(entry.model.stems):
            yield Defect(entry, "stems", f"{len(entry.model.stems)} stems, but its name says {match[1]}")


def phase_reference_unknown(subject: Subject) -> Iterator[Defect]:
    """Find references for a phase fix that the registry does not hold."""
    for entry, path, reference in _references(subject):
        if reference not in subject.by_id:
            yield Defect(entry, path, f"{reference!r} is not in this registry")


def phase_reference_unflagged(subject: Subject) -> Iterator[Defect]:
    """Find references for a phase fix that are not marked as valid ones."""
    for entry, path, reference in _references(subject):
        other = subject.by_id.get(reference)
        if other is not None and not other.model.phase_fix.is_valid_reference:
            yield Defect(
                entry, path, f"{reference!r} is not marked as a valid reference (phase_fix.is_valid_reference)"
            )


def name_repeated(subject: Subject) -> Iterator[Defect]:
    """Find names that several models have."""
    first: dict[str, Entry] = {}
    for entry in subject.entries:
        other = first.setdefault(" ".join(entry.model.name.casefold().split()), entry)
        if other is not entry:
            yield Defect(entry, "name", f"{entry.model.name!r} is the name of {other.model.id} too")


def id_unlike_name(subject: Subject) -> Iterator[Defect]:
    """Find ids that nobody could guess from the name."""
    for entry in subject.entries:
        said = {word for text in (entry.model.name, entry.model.architecture) for word in _WORD.findall(text.lower())}
        joined = "".join(_WORD.findall(entry.model.name.lower()))
        if not any(word in said or word in joined for word in _WORD.findall(entry.model.id)):
            yield Defect(entry, "id", f"{entry.model.id!r} shares no word with the name {entry.model.name!r}")


def metric_zero(subject: Subject) -> Iterator[Defect]:
    """Find metrics of exactly zero, which stand for unknown ones."""
    for entry in subject.entries:
        for name in _METRICS:
            if getattr(entry.model.metrics, name) == 0:
                edit = entry.put(None, "metrics", name)
                yield Defect(entry, f"metrics.{name}", "0 stands for a value that nobody knows", (edit,))
            if getattr(entry.model, name) == 0:
                yield Defect(entry, name, "0 stands for a value that nobody knows", (entry.put(None, name),))


def metrics_repeated(subject: Subject) -> Iterator[Defect]:
    """Find models of different weights with the same three metrics, which were copied."""
    users: dict[tuple[float, ...], list[Entry]] = defaultdict(list)
    for entry in subject.entries:
        values = tuple(getattr(entry.model.metrics, name) for name in _METRICS)
        if all(values):
            users[values].append(entry)
    for values, entries in users.items():
        for entry in entries[1:]:
            words = f"{', '.join(f'{value:g}' for value in values)} are the values of {entries[0].model.id} too"
            yield Defect(entry, "metrics", words)


def reason_missing(subject: Subject) -> Iterator[Defect]:
    """Find models that are not run, or not without work, for a reason that nobody says."""
    for entry in subject.entries:
        model = entry.model
        if not entry.stopped and model.catalog_status != "manual_only":
            continue
        spec = model.notes.strict_spec if model.notes else None
        told = (
            model.status.blocking_reason or (spec.blocked_reason if spec else None) or model.requirements.manual_steps
        )
        if not told and not (model.blocked and model.runtime.blocking_reason):
            yield Defect(entry, "status.blocking_reason", f"{model.catalog_status or model.status.readiness}: why?")


def status_contradicts(subject: Subject) -> Iterator[Defect]:
    """Find entries that call a model verified in one place and not in another."""
    for entry in subject.entries:
        catalog, readiness = entry.model.catalog_status, entry.model.status.readiness
        if readiness is None:
            continue
        good = {"verified": {"verified"}, "manual_only": {"manual", "experimental"}, "blocked": {"blocked"}}
        if (catalog in good and readiness not in good[catalog]) or (readiness == "blocked") != entry.model.blocked:
            yield Defect(entry, "status.readiness", f"{readiness}, but catalog_status is {catalog}")


def _references(subject: Subject) -> Iterator[tuple[Entry, str, str]]:
    for entry in subject.entries:
        fix = entry.model.phase_fix
        if fix.reference_model_id is not None:
            yield entry, "phase_fix.reference_model_id", fix.reference_model_id
        for stem, references in fix.references.items():
            for index, reference in enumerate(references):
                yield entry, dotted_path((stem, index), "phase_fix.references"), reference
