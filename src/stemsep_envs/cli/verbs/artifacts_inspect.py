"""Say what a checkpoint contains, without unpickling it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import complete_model, registry_option, verb
from stemsep_envs.cli.progress import shown_events

if TYPE_CHECKING:
    from stemsep_envs.documents.checkpoint import InspectedCheckpoint

_HASH_CHARACTERS = 12


@click.command("inspect")
@click.argument("what", metavar="MODEL|FILE", shell_complete=complete_model)
@registry_option
@verb
def command(console: Console, what: str, registry_path: Path | None) -> int:
    """Say what a checkpoint contains, without unpickling it.

    Of a MODEL, every checkpoint of its that is here; or of a FILE. It is converted to safetensors on the way, as before
    it is loaded, and the converted form is kept.
    """
    from stemsep_envs.commands.artifacts_inspect import inspect_checkpoints

    with shown_events(console, None) as on_event:
        listing = inspect_checkpoints(what, registry_path=registry_path, on_event=on_event)
    if console.json:
        console.document(listing)
        return 0
    for item in listing.checkpoints:
        _tell_checkpoint(console, item)
    return 0


def _tell_checkpoint(console: Console, item: InspectedCheckpoint) -> None:
    report = item.report
    console.line(f"{item.name}  {human_bytes(report.input_bytes)}  {report.input_sha256[:_HASH_CHARACTERS]}")
    types = ", ".join(f"{count} {dtype}" for dtype, count in report.dtypes.items())
    console.line(f"  tensors     {report.tensors} ({types or 'none'}), {report.parameters} parameters")
    console.line(f"  beside them {report.arrays} arrays, {report.values} values")
    console.line(f"  safetensors {human_bytes(report.output_bytes)}, converted at level {report.sandbox}")
    for found in report.inert:
        times = f"called {found.called} times" if found.called else f"named {found.named} times"
        kind = "DANGEROUS" if found.dangerous else "harmless " if found.harmless else "unknown  "
        console.line(f"  {kind}  {found.name} ({times})")
    for words in report.left_out:
        console.line(f"  left out   {words}")
    if report.dangerous:
        console.note("a checkpoint of plain data needs none of the dangerous names; none of them was run")
    elif report.unknown:
        console.note("what the unknown names would do is not known; none of them was run")
