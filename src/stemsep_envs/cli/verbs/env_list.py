"""List the environments of this home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import registry_option, verb

if TYPE_CHECKING:
    from stemsep_envs.documents.environment_reports import ListedEnvironment

_MOST_NAMED = 3


@click.command("list")
@registry_option
@verb
def command(console: Console, registry_path: Path | None) -> int:
    """List the environments of this home.

    The size of each, the space that removing it would free, and who uses it.

    SIZE is everything in an environment; OWN is what removing it alone would free: the rest is shared.
    """
    from stemsep_envs.commands.env_list import environment_listing

    listing = environment_listing(registry_path)
    if console.json:
        console.document(listing)
        return 0
    header = ("ENVIRONMENT", "STATE", "TARGET", "PYTHON", "SIZE", "OWN", "LAST USED", "MODELS")
    console.table(header, map(_row, listing.environments))
    cache = f"; package cache: {human_bytes(listing.cache_bytes)}" if listing.cache_bytes else ""
    console.line(f"together {human_bytes(listing.environments_bytes)}{cache}")
    return 0


def _row(item: ListedEnvironment) -> tuple[str, ...]:
    state = "adopted" if item.adopted and item.state == "whole" else item.state
    return (
        item.digest[:12],
        "in use" if item.live_uses and item.state == "whole" else state,
        str(item.target or "-"),
        item.python or "-",
        human_bytes(item.size_bytes),
        human_bytes(item.freeable_bytes),
        item.last_used or "never",
        _models(item.models),
    )


def _models(models: Sequence[str]) -> str:
    """Name a few models: most environments serve dozens."""
    more = f" and {len(models) - _MOST_NAMED} more" if len(models) > _MOST_NAMED else ""
    return f"{', '.join(models[:_MOST_NAMED])}{more}" or "-"
