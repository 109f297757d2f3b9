"""Free disk, least recently used first."""

from __future__ import annotations

import re
from pathlib import Path

import click

from stemsep_envs.cli.asking import can_ask
from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import registry_option, verb
from stemsep_envs.cli.progress import shown_events
from stemsep_envs.cli.removals import tell_removals

_SIZE = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _bytes(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Return the bytes of a size as people write it: ``20G``, ``512 MiB``."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a size; write 20G or 512M")
    return int(float(match["count"]) * _UNITS[match["unit"].lower()])


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed and how much space that would free.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Remove environments that were not used for this many days.",
)
@click.option(
    "--max-size",
    callback=_bytes,
    metavar="SIZE",
    help="Remove the least recently used until at most this much is used, such as 20G.",
)
@click.option("--unused", is_flag=True, help="Remove environments that no model of the registry uses.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@registry_option
@verb
def command(
    console: Console,
    dry_run: bool,
    max_age: float | None,
    max_size: int | None,
    unused: bool,
    yes: bool,
    registry_path: Path | None,
) -> int:
    """Free disk, least recently used first.

    Environments that the options choose, broken ones, what dead processes left, packages that nobody needs.

    What a running session uses always stays. A file that environments share is freed with the last of them.
    """
    from stemsep_envs.commands.env_gc import collect_environments
    from stemsep_envs.environments.gc import Rules

    rules = Rules(None if max_age is None else max_age * 86400, max_size, unused)
    with shown_events(console, None) as on_event:
        if not dry_run and can_ask(console, yes=yes):
            planned = collect_environments(rules, registry_path=registry_path, dry_run=True, on_event=on_event)
            tell_removals(console, planned, kept=planned.kept)
            click.confirm("go on?", abort=True, err=True)
        report = collect_environments(rules, registry_path=registry_path, dry_run=dry_run, on_event=on_event)
    tell_removals(console, report, kept=report.kept)
    return 0
