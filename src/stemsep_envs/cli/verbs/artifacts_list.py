"""List the files of this home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import registry_option, verb

if TYPE_CHECKING:
    from stemsep_envs.documents.artifacts import ListedArtifact

_HASH_CHARACTERS = 12
_TRUST_WORDS = {"registry": "registry", "first-use": "first use", "added": "by hand"}


@click.command("list")
@registry_option
@verb
def command(console: Console, registry_path: Path | None) -> int:
    """List the files of this home.

    What each is, whose, how its hash is known, and when it was last used.
    """
    from stemsep_envs.commands.artifacts_list import list_artifacts

    listing = list_artifacts(registry_path)
    if console.json:
        console.document(listing)
        return 0
    console.table(("ARTIFACT", "SIZE", "HASH FROM", "LAST USED", "FILE"), map(_row, listing.artifacts))
    unfinished = f"; unfinished downloads: {human_bytes(listing.unfinished_bytes)}" if listing.unfinished_bytes else ""
    converted = f"; converted forms: {human_bytes(listing.converted_bytes)}" if listing.converted_bytes else ""
    console.line(f"together {human_bytes(listing.total_bytes)}{converted}{unfinished}")
    return 0


def _row(item: ListedArtifact) -> tuple[str, ...]:
    trust = "registry" if not item.origins else _TRUST_WORDS[item.origins[0].trust]
    use = item.used_by[0] if item.used_by else None
    more = f" and {len(item.used_by) - 1} more" if len(item.used_by) > 1 else ""
    names = [origin.filename for origin in item.origins if origin.filename]
    what = f"{use.filename} of {use.model_id}{more}" if use else (names[0] if names else "unknown")
    size = human_bytes(item.size_bytes) if item.state == "here" else "gone"
    last_used = item.last_used[:10] if item.last_used else "-"
    return item.sha256[:_HASH_CHARACTERS], size, trust, last_used, what
