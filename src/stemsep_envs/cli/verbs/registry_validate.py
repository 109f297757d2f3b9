"""Check a registry file; every problem is listed with its place."""

from __future__ import annotations

from pathlib import Path

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import registry_option, verb


@click.command("validate")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@registry_option
@verb
def command(console: Console, file: Path | None, registry_path: Path | None) -> int:
    """Check a registry FILE (default: the one in use); every problem is listed with its place."""
    from stemsep_envs.commands.registry_validate import validate_file

    report = validate_file(file or registry_path)
    if console.json:
        console.document(report)
    else:
        console.findings("warning", report.warnings)
        words = "1 model" if report.model_count == 1 else f"{report.model_count} models"
        console.line(f"{report.path}: {words}, valid")
    return 0
