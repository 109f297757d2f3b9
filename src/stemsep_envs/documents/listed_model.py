"""One line of a registry's list: what the outline of a registry keeps of each model, and what ``registry list`` prints.

A plain dataclass, without a check: a list of ten thousand is made of values that were read from an outline of ours.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One line of the catalogue. What the registry does not say is empty."""

    # Without an annotation: pydantic would write it out as one of the fields, this being a class with slots.
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    id: str
    name: str
    architecture: str
    type: str
    runtime: str
    """The preferred runtime, or the first that is allowed; empty when none is."""
    catalog_status: str
    readiness: str
    stems: tuple[str, ...]
