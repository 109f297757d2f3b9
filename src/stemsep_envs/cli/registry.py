"""``registry``: list, show and check the models."""

from __future__ import annotations

from pathlib import Path

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import complete_model, registry_option, verb


@click.group("registry")
def command() -> None:
    """List, show and check the models."""


@command.command("list")
@click.option("--runtime", help="Only models that this runtime runs by preference.")
@click.option("--stem", help="Only models that make this stem.")
@registry_option
@verb
def list_models(console: Console, registry_path: Path | None, runtime: str | None, stem: str | None) -> int:
    """List the models."""
    from stemsep_envs.commands.registry import list_registry

    report = list_registry(registry_path, runtime=runtime, stem=stem)
    console.findings("warning", report.warnings)
    if console.json:
        console.document(report)
    else:
        rows = [
            (model.id, model.architecture, model.runtime or "-", ",".join(model.stems) or "-")
            for model in report.models
        ]
        console.table(("MODEL", "ARCHITECTURE", "RUNTIME", "STEMS"), rows)
    return 0


@command.command("show")
@click.argument("model", shell_complete=complete_model)
@registry_option
@verb
def show_model(console: Console, model: str, registry_path: Path | None) -> int:
    """Print a model's entry, as it is in the registry."""
    from stemsep_envs.commands.registry import show_entry

    console.line(show_entry(registry_path, model))
    return 0


@command.command("validate")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@registry_option
@verb
def validate_registry(console: Console, file: Path | None, registry_path: Path | None) -> int:
    """Check a registry FILE (default: the one in use); every problem is listed with its place."""
    from stemsep_envs.commands.registry import validate_file

    report = validate_file(file or registry_path)
    if console.json:
        console.document(report)
    else:
        console.findings("warning", report.warnings)
        words = "1 model" if report.model_count == 1 else f"{report.model_count} models"
        console.line(f"{report.path}: {words}, valid")
    return 0
