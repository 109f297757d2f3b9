"""What ``registry list`` and ``registry validate`` print with ``--json``."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.listed_model import ListedModel
from stemsep_envs.documents.reports import Finding


class RegistryListing(Document):
    """The models of a registry, in its order."""

    schema_version: Literal[1] = 1
    path: str
    models: tuple[ListedModel, ...]
    warnings: tuple[Finding, ...] = ()
    """Entries that cannot be used at all, and are not listed: no readable id, or that of another."""


class ValidationReport(Document):
    """A registry without errors; what is kept although this version does not know it is in the warnings."""

    schema_version: Literal[1] = 1
    path: str
    version: str
    model_count: int
    warnings: tuple[Finding, ...]
