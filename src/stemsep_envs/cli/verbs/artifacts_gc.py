"""Free disk: files that nobody needs, damaged files, downloads that nobody continued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.asking import can_ask
from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import registry_option, verb
from stemsep_envs.cli.removals import tell_removals

if TYPE_CHECKING:
    from stemsep_envs.documents.artifacts import ArtifactCollectionReport


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed and how much space that would free.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Remove files that were not used for this many days.",
)
@click.option("--unused", is_flag=True, help="Remove files that no model of the registry needs.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@registry_option
@verb
def command(
    console: Console, dry_run: bool, max_age: float | None, unused: bool, yes: bool, registry_path: Path | None
) -> int:
    """Free disk.

    Files that the options choose, damaged files that were set aside, and downloads that nobody continued for a week.
    What an address stood for stays known: when it is fetched again, it must be the same.
    """
    from stemsep_envs.commands.artifacts_gc import collect_artifacts

    seconds = None if max_age is None else max_age * 86400

    def collected(*, dry: bool) -> ArtifactCollectionReport:
        return collect_artifacts(registry_path=registry_path, unused=unused, max_age_seconds=seconds, dry_run=dry)

    if not dry_run and can_ask(console, yes=yes):
        tell_removals(console, collected(dry=True))
        click.confirm("go on?", abort=True, err=True)
    tell_removals(console, collected(dry=dry_run))
    return 0
