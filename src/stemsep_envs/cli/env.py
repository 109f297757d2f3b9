"""``env``: list, show and tend built environments."""

from __future__ import annotations

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import verb


@click.group("env")
def command() -> None:
    """List, show and tend built environments."""


@command.command("list")
@verb
def list_environments(console: Console) -> int:
    """List the environments of this home, what they take and when they were last used."""
    from stemsep_envs.commands.env import environment_listing

    listing = environment_listing()
    if console.json:
        console.document(listing)
        return 0
    rows = [
        (
            row.digest[:12],
            row.state,
            str(row.target or "-"),
            row.python or "-",
            human_bytes(row.size_bytes) if row.size_bytes is not None else "-",
            row.last_used or "never",
        )
        for row in listing.environments
    ]
    console.table(("ENVIRONMENT", "STATE", "TARGET", "PYTHON", "SIZE", "LAST USED"), rows)
    return 0


@command.command("show")
@click.argument("environment")
@verb
def show_environment(console: Console, environment: str) -> int:
    """Show what is in an ENVIRONMENT (its digest, or the beginning of it)."""
    from stemsep_envs.commands.env import environment_details

    details = environment_details(environment)
    if console.json:
        console.document(details)
        return 0
    receipt = details.receipt
    console.line(f"environment  {receipt.digest}")
    console.line(f"folder       {details.dir}")
    console.line(f"target       {receipt.inputs.target}")
    console.line(f"python       {receipt.inputs.interpreter.version} ({receipt.base_interpreter.path})")
    console.line(f"built        {receipt.created_at} by {receipt.created_by}")
    console.line(f"built for    {', '.join(receipt.built_for)}")
    console.line(f"size         {human_bytes(receipt.size.bytes)}, shared {human_bytes(receipt.size.shared_bytes)}")
    builder = receipt.builder
    console.line(f"builder      {builder.name} {builder.version}, {builder.link_mode}: {builder.link_reason}")
    console.line(f"packages     {', '.join(f'{package.name} {package.version}' for package in receipt.packages)}")
    return 0
