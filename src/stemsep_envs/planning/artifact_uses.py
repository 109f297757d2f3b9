"""Which files the registry's models ask for, and what each stored hash is to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stemsep_envs.artifacts.model_files import Wanted, wanted_files, what_is_known
from stemsep_envs.documents.artifacts import ArtifactUse
from stemsep_envs.errors import InvalidDocumentError, MismatchError
from stemsep_envs.host.paths import Home
from stemsep_envs.registry.catalogue import catalogue_at


def files_of_all_models(registry_path: Path | None) -> list[Wanted]:
    """Return the files of all models; entries that are wrong are none of this command's business."""
    catalogue = catalogue_at(registry_path)
    found: list[Wanted] = []
    for model_id in catalogue.ids():
        try:
            found += wanted_files(catalogue.get(model_id))
        except InvalidDocumentError:
            continue
    return found


def uses_by_hash(home: Home, registry_path: Path | None) -> Mapping[str, tuple[ArtifactUse, ...]]:
    """Return which files of which models each hash is, as far as hashes are known."""
    uses: dict[str, list[ArtifactUse]] = {}
    for wanted in files_of_all_models(registry_path):
        try:
            sha256 = what_is_known(home, wanted).sha256
        except MismatchError:
            continue
        if sha256 is not None:
            uses.setdefault(sha256, []).append(use_of(wanted))
    return {sha256: tuple(each) for sha256, each in uses.items()}


def use_of(wanted: Wanted) -> ArtifactUse:
    """Return which file of which model this is, as reports say it."""
    return ArtifactUse(model_id=wanted.model_id, name=wanted.name, filename=wanted.filename)
