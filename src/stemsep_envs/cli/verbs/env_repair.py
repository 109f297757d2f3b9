"""Build damaged environments anew."""

from __future__ import annotations

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.differences import tell_differences
from stemsep_envs.cli.options import verb
from stemsep_envs.cli.progress import shown_events
from stemsep_envs.errors import BuildError


@click.command("repair")
@click.argument("environments", nargs=-1, metavar="[ENVIRONMENT]...")
@click.option("--all-broken", is_flag=True, help="Look at all environments and repair those that need it.")
@click.option("--offline", is_flag=True, help="Make no network call.")
@verb
def command(console: Console, environments: tuple[str, ...], all_broken: bool, offline: bool) -> int:
    """Build damaged ENVIRONMENTs anew.

    Each is verified first, and rebuilt from clean files when something differs.
    """
    from stemsep_envs.commands.env_repair import repair_environments

    if all_broken == bool(environments):
        raise click.UsageError("name environments, or write --all-broken")
    with shown_events(console, None) as on_event:
        report = repair_environments(environments, offline=offline, on_event=on_event)
    if console.json:
        console.document(report)
        return 0 if report.ok else BuildError.exit_code
    for item in report.environments:
        console.line(f"{item.digest[:12]}  {item.action}: {item.detail}")
        tell_differences(console, item.differences)
    return 0 if report.ok else BuildError.exit_code
