"""Compare every file with what was built."""

from __future__ import annotations

import click

from stemsep_envs.cli.console import Console, human_bytes, human_seconds
from stemsep_envs.cli.differences import tell_differences
from stemsep_envs.cli.options import verb
from stemsep_envs.cli.progress import shown_events
from stemsep_envs.errors import MismatchError


@click.command("verify")
@click.argument("environments", nargs=-1, metavar="[ENVIRONMENT]...")
@click.option("--all", "everything", is_flag=True, help="Verify all environments (the default when none is named).")
@click.option("--quick", is_flag=True, help="Look at names, sizes, times and permissions; read only what is newer.")
@verb
def command(console: Console, environments: tuple[str, ...], everything: bool, quick: bool) -> int:
    """Compare every file with what was built.

    Ends with 4 when something differs.

    What differs is not used any more until `env repair`, or the next `ensure`, builds it anew.
    """
    from stemsep_envs.commands.env_verify import verify_environments

    with shown_events(console, None) as on_event:
        report = verify_environments(() if everything else environments, quick=quick, on_event=on_event)
    if console.json:
        console.document(report)
        return 0 if report.ok else MismatchError.exit_code
    for item in report.environments:
        took = f"{item.files} files, {human_bytes(item.hashed_bytes)} read in {human_seconds(item.seconds)}"
        words = "as it was built" if item.ok else f"{len(item.differences)} differences"
        console.line(f"{item.digest[:12]}  {words}  ({took})")
        tell_differences(console, item.differences)
    if not report.environments:
        console.note("there are no environments")
    return 0 if report.ok else MismatchError.exit_code
