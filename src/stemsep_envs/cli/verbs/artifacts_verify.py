"""Read files again and compare them with their hashes."""

from __future__ import annotations

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import verb
from stemsep_envs.cli.progress import shown_events
from stemsep_envs.errors import MismatchError

_HASH_CHARACTERS = 12


def _complete_hash(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from stemsep_envs.artifacts.blobs import stored_hashes
    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.host.paths import find_home

    try:
        return [sha256[:16] for sha256 in stored_hashes(find_home()) if sha256[:16].startswith(incomplete)]
    except (StemsepEnvError, OSError):
        return []


@click.command("verify")
@click.argument("artifacts", nargs=-1, metavar="[ARTIFACT]...", shell_complete=_complete_hash)
@click.option("--all", "everything", is_flag=True, help="Verify all (the default when none is named).")
@verb
def command(console: Console, artifacts: tuple[str, ...], everything: bool) -> int:
    """Read files again and compare them with their hashes.

    Name them by the beginning of their hashes. What is damaged is set aside, and fetched again by the next run that
    needs it. Ends with 4 when something was.
    """
    from stemsep_envs.commands.artifacts_verify import verify_artifacts

    with shown_events(console, None) as on_event:
        report = verify_artifacts(() if everything else artifacts, on_event=on_event)
    if console.json:
        console.document(report)
    else:
        for item in report.artifacts:
            kind = "  converted" if item.kind == "converted" else ""
            console.line(f"{item.sha256[:_HASH_CHARACTERS]}{kind}  {item.detail}")
            if item.set_aside:
                console.line(f"  moved to {item.set_aside}")
        console.line(f"{len(report.artifacts)} read, {human_bytes(report.bytes_read)}")
    return 0 if report.ok else MismatchError.exit_code
