"""`registry validate`: check a whole registry file."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.documents.registry import parse_registry, registry_warnings
from stemsep_envs.documents.registry_reports import ValidationReport
from stemsep_envs.documents.reports import Finding, finding_of
from stemsep_envs.host.paths import data_dir, default_registry_path
from stemsep_envs.registry.catalogue import read_registry_file
from stemsep_envs.registry.recipes import known_runtimes
from stemsep_envs.registry.runtime_names import unknown_runtimes


def validate_file(path: Path | None) -> ValidationReport:
    """Check a whole registry file.

    Raises:
        UsageError: The file is missing or unreadable.
        InvalidDocumentError: Every problem, each at its dotted path.
    """
    place = path or default_registry_path()
    data = read_registry_file(place)
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
