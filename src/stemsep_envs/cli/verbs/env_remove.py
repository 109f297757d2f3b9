"""Remove environments; refused while a session uses one."""

from __future__ import annotations

import click

from stemsep_envs.cli.asking import confirm
from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import verb
from stemsep_envs.cli.progress import shown_events
from stemsep_envs.cli.removals import tell_removals


@click.command("remove")
@click.argument("environments", nargs=-1, required=True, metavar="ENVIRONMENT...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@verb
def command(console: Console, environments: tuple[str, ...], yes: bool) -> int:
    """Remove ENVIRONMENTs; refused while a session uses one."""
    from stemsep_envs.commands.env_remove import removal_plan, remove_environments

    planned = removal_plan(environments)
    confirm(f"remove {', '.join(item.digest[:12] for item in planned)}?", console, yes=yes)
    with shown_events(console, None) as on_event:
        report = remove_environments(planned, on_event=on_event)
    tell_removals(console, report)
    return 0
