"""Print a model's entry, as it is in the registry."""

from __future__ import annotations

from pathlib import Path

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import complete_model, registry_option, verb


@click.command("show")
@click.argument("model", shell_complete=complete_model)
@registry_option
@verb
def command(console: Console, model: str, registry_path: Path | None) -> int:
    """Print a model's entry, as it is in the registry."""
    from stemsep_envs.commands.registry_show import show_entry

    console.line(show_entry(registry_path, model))
    return 0
