"""`registry`: the catalogue as commands tell of it."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.documents.registry import parse_registry, registry_warnings
from stemsep_envs.documents.registry_reports import ListedModel, RegistryListing, ValidationReport
from stemsep_envs.documents.reports import Finding, finding_of
from stemsep_envs.documents.terminal import escaped_in_json
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import data_dir, default_registry_path
from stemsep_envs.registry.catalogue import catalogue_at
from stemsep_envs.registry.recipes import known_runtimes
from stemsep_envs.registry.runtime_names import unknown_runtimes


def model_ids(path: Path | None) -> tuple[str, ...]:
    """Return the ids of all models, in the registry's order."""
    return catalogue_at(path).ids()


def list_registry(path: Path | None, *, runtime: str | None = None, stem: str | None = None) -> RegistryListing:
    """List the models, or those of one runtime or with one stem.

    Raises:
        UsageError: The file is missing or unreadable.
        InvalidDocumentError: It is not a registry.
    """
    catalogue = catalogue_at(path)
    models = [
        ListedModel(
            id=model.id,
            name=model.name,
            architecture=model.architecture,
            type=model.type,
            runtime=model.runtime,
            catalog_status=model.catalog_status,
            readiness=model.readiness,
            stems=model.stems,
        )
        for model in catalogue.summaries()
        if runtime in {None, model.runtime} and (stem is None or stem in model.stems)
    ]
    unusable = tuple(Finding(code="invalid", message=each.message, path=each.path) for each in catalogue.problems)
    return RegistryListing(path=str(catalogue.path), models=tuple(models), warnings=unusable)


def show_entry(path: Path | None, model_id: str) -> str:
    """Return a model's entry as JSON text, with every field that the registry gives it and no other.

    Raises:
        UsageError: There is no such model.
        InvalidDocumentError: Its entry is wrong.
    """
    entry = catalogue_at(path).get(model_id)
    return escaped_in_json(entry.model_dump_json(indent=2, exclude_unset=True))


def validate_file(path: Path | None) -> ValidationReport:
    """Check a whole registry file.

    Raises:
        UsageError: The file is missing or unreadable.
        InvalidDocumentError: Every problem, each at its dotted path.
    """
    place = path or default_registry_path()
    data = registry_bytes(place)
    registry = parse_registry(data, origin=str(place))
    unfamiliar = (
        Finding(code="registry_unfamiliar", message=problem.message, path=problem.path)
        for problem in registry_warnings(registry)
    )
    nowhere = unknown_runtimes(registry.models, known_runtimes(data_dir("runtimes")))
    return ValidationReport(
        path=str(place),
        version=registry.version,
        model_count=len(registry.models),
        warnings=(*unfamiliar, *map(finding_of, nowhere)),
    )


def registry_bytes(place: Path) -> bytes:
    """Return a registry file's content.

    Raises:
        UsageError: The file is missing or cannot be read.
    """
    try:
        return place.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no registry file {place}", code="registry_missing") from None
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}", code="registry_unreadable") from None
