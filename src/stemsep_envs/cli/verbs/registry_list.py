"""List the models."""

from __future__ import annotations

from pathlib import Path

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import registry_option, verb


@click.command("list")
@click.option("--runtime", help="Only models that this runtime runs by preference.")
@click.option("--stem", help="Only models that make this stem.")
@registry_option
@verb
def command(console: Console, registry_path: Path | None, runtime: str | None, stem: str | None) -> int:
    """List the models."""
    from stemsep_envs.commands.registry_list import list_registry

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
