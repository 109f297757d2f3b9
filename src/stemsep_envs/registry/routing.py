"""Routing: which runtime executes a model. Decided by the registry's ``runtime`` section and the user, never by a name.

A runtime that the user names must be allowed; otherwise the preferred one is taken, otherwise the first allowed. There
is no further choice: where that runtime is not available, the answer is a refusal and not another runtime, because
engines give different results for the same weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import Reason


@dataclass(frozen=True)
class Route:
    """The answer to where a model runs.

    Attributes:
        runtime: The runtime that the rules give; None when there is none. Given even when ``reasons`` refuse it, so
            that a developer who overrules them gets what was asked for.
        chosen_by: What decided: ``command line``, ``runtime.preferred`` or ``runtime.allowed[0]``.
        reasons: Why the model is refused; empty when it may run.
    """

    runtime: str | None
    chosen_by: str
    reasons: tuple[Reason, ...]


def choose_runtime(entry: ModelEntry, requested: str | None, known_runtimes: Collection[str]) -> Route:
    """Choose the runtime of a model.

    Args:
        entry: The model.
        requested: The runtime that the user named, or None.
        known_runtimes: Ids of the runtimes that have a recipe here.
    """
    if requested is not None:
        runtime, chosen_by = requested, "command line"
    elif entry.runtime.preferred is not None and entry.runtime.allowed:
        runtime, chosen_by = entry.runtime.preferred, "runtime.preferred"
    elif entry.runtime.allowed:
        runtime, chosen_by = entry.runtime.allowed[0], "runtime.allowed[0]"
    else:
        return Route(None, "runtime.allowed", tuple(_blocked(entry)))
    reasons = [*_blocked(entry), *_refused(entry, runtime, chosen_by, known_runtimes)]
    return Route(runtime, chosen_by, tuple(reasons))


def check_recipe(entry: ModelEntry, recipe: RuntimeRecipe) -> tuple[Reason, ...]:
    """Say why a runtime cannot execute a model although it is allowed to: a variant or model type it does not have."""
    return (*_variant(entry, recipe), *_model_type(entry, recipe))


def _blocked(entry: ModelEntry) -> Iterator[Reason]:
    if entry.catalog_status == "online_only":
        yield Reason(
            "model_online_only",
            f"{entry.id} exists as an online service only",
            hint=entry.links.homepage,
            path="catalog_status",
        )
    if entry.blocked:
        words, path = _blocking_words(entry)
        yield Reason("model_blocked", f"{entry.id} is blocked: {words}", path=path)


def _blocking_words(entry: ModelEntry) -> tuple[str, str]:
    """Return why a model is blocked, and the field that says that it is."""
    path = "catalog_status" if entry.catalog_status == "blocked" else "status.readiness"
    spec = entry.notes.strict_spec if entry.notes else None
    words = entry.status.blocking_reason or entry.runtime.blocking_reason or (spec.blocked_reason if spec else None)
    return words or "the registry gives no reason", path


def _refused(entry: ModelEntry, runtime: str, chosen_by: str, known_runtimes: Collection[str]) -> Iterator[Reason]:
    allowed = entry.runtime.allowed
    if runtime not in allowed:
        why = f": {entry.runtime.blocking_reason}" if entry.runtime.blocking_reason else ""
        yield Reason(
            "runtime_not_allowed",
            f"{entry.id} may not run on {runtime}{why}",
            hint=f"allowed: {', '.join(allowed) or 'none'}",
            path="runtime.allowed",
        )
    if runtime not in known_runtimes:
        others = [name for name in allowed if name in known_runtimes]
        here = f"allowed and here: {', '.join(others)}; name one with --runtime" if others else None
        yield Reason(
            "runtime_unknown",
            f"there is no recipe for the runtime {runtime} here",
            hint=here or f"runtimes here: {', '.join(sorted(known_runtimes)) or 'none'}",
            path=None if chosen_by == "command line" else chosen_by,
        )


def _variant(entry: ModelEntry, recipe: RuntimeRecipe) -> Iterator[Reason]:
    variant = entry.runtime.variant
    if variant is not None and variant not in recipe.variants:
        yield Reason(
            "variant_unknown",
            f"the runtime {recipe.id} has no variant {variant!r}",
            hint=f"variants: {', '.join(recipe.variants) or 'none'}",
            path="runtime.variant",
        )


def _model_type(entry: ModelEntry, recipe: RuntimeRecipe) -> Iterator[Reason]:
    model_type = entry.runtime.model_type_on(recipe.id)
    path = entry.runtime.model_type_path(recipe.id)
    if model_type in recipe.model_types:
        return
    hint = f"model types of {recipe.id}: {', '.join(recipe.model_types)}"
    if model_type is None:
        message = f"the registry does not say which model type of {recipe.id} the model is"
        yield Reason("model_type_missing", message, hint=hint, path=path)
    else:
        message = f"the runtime {recipe.id} has no model type {model_type!r}"
        yield Reason("model_type_unknown", message, hint=hint, path=path)
