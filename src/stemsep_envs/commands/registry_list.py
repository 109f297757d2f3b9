"""`registry list`: the models, or some of them."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.documents.registry_reports import RegistryListing
from stemsep_envs.documents.reports import Finding
from stemsep_envs.registry.catalogue import catalogue_at


def list_registry(path: Path | None, *, runtime: str | None = None, stem: str | None = None) -> RegistryListing:
    """List the models, or those of one runtime or with one stem.

    Raises:
        UsageError: The file is missing or unreadable.
        InvalidDocumentError: It is not a registry.
    """
    catalogue = catalogue_at(path)
    models = [
        model
        for model in catalogue.summaries()
        if runtime in {None, model.runtime} and (stem is None or stem in model.stems)
    ]
    unusable = tuple(Finding(code="invalid", message=each.message, path=each.path) for each in catalogue.problems)
    return RegistryListing(path=str(catalogue.path), models=tuple(models), warnings=unusable)
