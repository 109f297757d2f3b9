"""Which models of a registry each environment serves now: those whose plan on this machine has its digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.environment_store import Stored
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.planning.plan import PlanOptions
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.registry.catalogue import catalogue_at


def served_models(environments: Iterable[Stored], registry_path: Path | None) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of the models that each environment serves, by its digest.

    A model is planned once for each target that there are environments for. Models that ask for the same are planned
    together; those that cannot be planned here use none.

    Args:
        environments: Whose targets are asked for.
        registry_path: The registry; None for the one in use.

    Raises:
        UsageError: The registry is missing or cannot be read.
        InvalidDocumentError: It is not a registry.
    """
    targets = sorted({item.receipt.inputs.target for item in environments if item.receipt}, key=str)
    catalogue = catalogue_at(registry_path)
    digests_of: dict[str, tuple[str, ...]] = {}
    served: dict[str, list[str]] = {}
    for model_id in catalogue.ids() if targets else ():
        try:
            needs = _needs(catalogue.get(model_id))
        except StemsepEnvError:
            continue  # an entry that is wrong can be run by nobody
        if needs not in digests_of:
            found = (_digest(model_id, target, registry_path) for target in targets)
            digests_of[needs] = tuple(dict.fromkeys(digest for digest in found if digest))
        for digest in digests_of[needs]:
            served.setdefault(digest, []).append(model_id)
    return {digest: tuple(ids) for digest, ids in served.items()}


def _needs(entry: ModelEntry) -> str:
    """Return what decides which environment a model gets, in a form that can be compared."""
    decisive = {"runtime": entry.runtime, "requirements": entry.requirements, "status": entry.status}
    return json.dumps({name: part.model_dump(mode="json") for name, part in decisive.items()}, sort_keys=True)


def _digest(model_id: str, target: Target, registry_path: Path | None) -> str | None:
    try:
        report = plan_model(model_id, PlanOptions(registry_path=registry_path, target=str(target))).report
    except StemsepEnvError:
        return None
    if any(error.code == "model_blocked" for error in report.errors):
        return None
    return report.resolved.environment.digest if report.resolved else None
