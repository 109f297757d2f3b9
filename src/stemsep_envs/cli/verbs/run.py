"""Separate audio with a model."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemsep_envs.cli.console import Console, pressing
from stemsep_envs.cli.options import complete_model, planning_options, settings_options, verb
from stemsep_envs.cli.progress import events_option, shown_events
from stemsep_envs.documents.audio import BIT_DEPTHS, DEFAULT_DEPTHS_IN_WORDS, DEFAULT_FORMAT, FORMAT_NAMES
from stemsep_envs.errors import UsageError
from stemsep_envs.separation.existing import EXISTING

if TYPE_CHECKING:
    from stemsep_envs.worker.deadlines import Deadlines


@click.command("run")
@click.argument("model", shell_complete=complete_model)
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option("-o", "--output", "output_dir", required=True, type=click.Path(), help="Output folder.")
@click.option("-r", "--recursive", is_flag=True, help="Search folders recursively.")
@click.option(
    "--from-file",
    type=click.Path(path_type=Path, readable=False, allow_dash=True),
    help="Read inputs from a list (- is stdin).",
)
@click.option("--stems", help="Only these stems, separated by commas.")
@click.option(
    "--format",
    "audio_format",
    type=click.Choice(FORMAT_NAMES),
    default=DEFAULT_FORMAT,
    show_default=True,
    help="How stems are written.",
)
@click.option("--bit-depth", type=click.Choice(BIT_DEPTHS), help=f"Default: {DEFAULT_DEPTHS_IN_WORDS}.")
@click.option("--sample-rate", default="source", show_default=True, help="model, source, or a number of hertz.")
@click.option("--normalize", is_flag=True, help="Scale all stems by one gain so that the loudest peaks at -1 dBFS.")
@click.option("--start", "start_seconds", type=float, help="Start at this time, in seconds.")
@click.option("--duration", "duration_seconds", type=float, help="Process this much, in seconds.")
@click.option("--filename", "template", help="Name outputs by this template (default {model}/{track}/{stem}.{ext}).")
@click.option(
    "--existing",
    type=click.Choice(EXISTING),
    default=EXISTING[0],
    show_default=True,
    help="What to do about outputs that exist; skip those that this same request made.",
)
@click.option(
    "--keep-going/--fail-fast",
    default=True,
    show_default=True,
    help="Continue with the other tracks after one has failed.",
)
@click.option(
    "--timeout",
    "total_seconds",
    type=float,
    help="Stop a track that takes longer, in seconds (default: an hour plus 300 times its length); also limits the "
    "start of the worker (120) and the loading of the model (900).",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would be done: nothing is built, started or written, but what a killed run left is undone.",
)
@events_option
@settings_options
@planning_options
@verb
def command(console: Console, model: str, inputs: tuple[Path, ...], **options: Any) -> int:
    """Separate audio with a model.

    INPUTS are audio files and folders. Stems are written to OUTPUT/model/track/stem.wav, with a run.json that says
    exactly what ran.
    """
    from stemsep_envs.planning.plan import planning_from
    from stemsep_envs.separation.output_names import DEFAULT_TEMPLATE
    from stemsep_envs.separation.output_options import output_options, output_plan
    from stemsep_envs.separation.run import RunRequest, prepare, run_prepared

    stems = None if options["stems"] is None else tuple(name.strip() for name in options["stems"].split(","))
    output = output_plan(
        _output_dir(options["output_dir"]),
        output_options(
            format=options["audio_format"],
            bit_depth=options["bit_depth"],
            sample_rate=options["sample_rate"],
            normalize=options["normalize"],
            stems=stems,
            start_seconds=options["start_seconds"],
            duration_seconds=options["duration_seconds"],
        ),
        existing=options["existing"],
        template=DEFAULT_TEMPLATE if options["template"] is None else options["template"],
    )
    request = RunRequest(
        model=model,
        inputs=[*inputs, *_listed(options["from_file"])],
        output=output,
        planning=planning_from(options),
        recursive=options["recursive"],
        keep_going=options["keep_going"],
        deadlines=_deadlines(options["total_seconds"]),
    )
    prepared = prepare(request)
    if options["dry_run"]:
        from stemsep_envs.commands.run import dry_run_report

        report = dry_run_report(prepared)
        if console.json:
            console.document(report)
        else:
            for job in report.tracks:
                console.line(f"{job.action}  {job.input}")
                for path in job.outputs:
                    console.line(f"    {path}")
        return 0
    if options["event_style"] is None:
        console.findings("warning", pressing(prepared.plan.report.warnings))
    with shown_events(console, options["event_style"]) as on_event:
        record = run_prepared(prepared, on_event=on_event)
    if console.json:
        console.document(record)
    else:
        done = [track for track in record.tracks if track.status in {"done", "skipped"}]
        for track in done:
            for made in track.outputs:
                console.path(output.dir / made.path)
    return record.exit_code


def _output_dir(named: str) -> Path:
    # An empty name would be the folder we are in: what a script passes whose variable is not set.
    if not named:
        raise UsageError("the name of the output folder is empty", hint="-o DIR; for this folder -o .")
    return Path(named)


def _deadlines(seconds: float | None) -> Deadlines:
    from stemsep_envs.worker.deadlines import Deadlines

    if seconds is None:
        return Deadlines()
    if not seconds > 0:
        raise UsageError(f"--timeout {seconds:g} is not valid", hint="give a number of seconds above 0")
    return Deadlines(start_seconds=seconds, load_seconds=seconds, total_seconds=seconds)


def _listed(list_path: Path | None) -> list[Path]:
    if list_path is None:
        return []
    from stemsep_envs.separation.inputs import read_list

    try:
        if str(list_path) == "-":
            return read_list(_as_names(sys.stdin.buffer.read()), Path.cwd())
        return read_list(_as_names(list_path.read_bytes()), list_path.absolute().parent)
    except OSError as error:
        raise UsageError(f"cannot read the list {list_path}: {error.strerror}", code="list_unreadable") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the list {list_path}: {error}", code="list_unreadable") from None


def _as_names(data: bytes) -> str:
    """Return a list as text: names are bytes on most systems, and PowerShell writes UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return os.fsdecode(data)
