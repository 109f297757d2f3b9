"""`registry show`: a model's entry as it is in the registry."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.documents.terminal import escaped_in_json
from stemsep_envs.registry.catalogue import catalogue_at


def show_entry(path: Path | None, model_id: str) -> str:
    """Return a model's entry as JSON text, with every field that the registry gives it and no other.

    Raises:
        UsageError: There is no such model.
        InvalidDocumentError: Its entry is wrong.
    """
    entry = catalogue_at(path).get(model_id)
    return escaped_in_json(entry.model_dump_json(indent=2, exclude_unset=True))
