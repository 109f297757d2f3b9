"""Show what is in an environment."""

from __future__ import annotations

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import verb


@click.command("show")
@click.argument("environment")
@verb
def command(console: Console, environment: str) -> int:
    """Show what is in an ENVIRONMENT.

    Name it by its digest or the beginning of it.
    """
    from stemsep_envs.commands.env_show import environment_details

    details = environment_details(environment)
    if console.json:
        console.document(details)
        return 0
    receipt = details.receipt
    console.line(f"environment  {receipt.digest}")
    console.line(f"folder       {details.dir}")
    console.line(f"state        {details.problem or 'whole'}")
    console.line(f"target       {receipt.inputs.target}")
    console.line(f"python       {receipt.inputs.interpreter.version} ({receipt.base_interpreter.path})")
    console.line(f"built        {receipt.created_at} by {receipt.created_by}")
    console.line(f"built for    {', '.join(receipt.built_for)}")
    console.line(f"size         {human_bytes(receipt.size.bytes)}, shared {human_bytes(receipt.size.shared_bytes)}")
    builder = receipt.builder
    console.line(f"builder      {builder.name} {builder.version}, {builder.link_mode}: {builder.link_reason}")
    if receipt.adopted is not None:
        console.line(f"adopted      {receipt.adopted.python}")
        for words in receipt.adopted.differences:
            console.line(f"             not as locked: {words}")
    for name, build in receipt.built_from_source.items():
        console.line(
            f"from source  {name}: {build.source}, built in {build.seconds:.1f} s, confined by {build.confined_by}"
        )
    console.line(f"packages     {', '.join(f'{package.name} {package.version}' for package in receipt.packages)}")
    return 0
