"""Resolve what models need, for any target, to versions and hashes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import complete_model, registry_option, verb
from stemsep_envs.documents.accelerators import TARGET_EXAMPLES
from stemsep_envs.documents.lock_formats import LOCK_FORMATS

if TYPE_CHECKING:
    from stemsep_envs.documents.lock_reports import LockReport


@click.command("lock")
@click.argument("models", nargs=-1, shell_complete=complete_model, metavar="MODEL...")
@click.option("--all", "all_models", is_flag=True, help="Lock every model of the registry that has a runtime here.")
@click.option("--target", "targets", multiple=True, help=f"For this target (repeatable), such as {TARGET_EXAMPLES[0]}.")
@click.option("--python", "pythons", multiple=True, metavar="3.N", help="For this Python (repeatable).")
@click.option("--check", is_flag=True, help="Change nothing; say which shipped locks are stale, and exit with 4.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions; with --check, only say whether there are any.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(LOCK_FORMATS),
    default=LOCK_FORMATS[0],
    show_default=True,
    help="pylock: PEP 751, for other installers.",
)
@click.option(
    "--output",
    "output_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write here instead of the home: the runtimes/ folder of a checkout, or any folder.",
)
@click.option("--runtime", help="Use this runtime; it must be one that the model allows.")
@click.option("--offline", is_flag=True, help="Make no network call.")
@registry_option
@verb
def command(console: Console, models: tuple[str, ...], **options: Any) -> int:
    """Resolve what each MODEL needs to exact versions and hashes, for any target, from any host.

    Models that need the same share one lock. A lock that still holds is kept as it is.
    """
    from stemsep_envs.commands.lock import LockOptions, lock_models
    from stemsep_envs.documents.target import parse_target
    from stemsep_envs.errors import UsageError
    from stemsep_envs.planning.lock_requests import LockSelection
    from stemsep_envs.provisioning.locks import lock_failure

    if bool(models) == options["all_models"]:
        raise UsageError("name models, or use --all", hint="stemsep-env lock --help")
    try:
        targets = tuple(dict.fromkeys(parse_target(text) for text in options["targets"]))
    except ValueError as error:
        raise UsageError(str(error), code="target_unknown") from None
    selection = LockSelection(
        model_ids=models,
        targets=targets,
        pythons=tuple(dict.fromkeys(options["pythons"])),
        registry_path=options["registry_path"],
        runtime=options["runtime"],
    )
    output_dir = options["output_dir"]
    locking = LockOptions(
        selection,
        check=options["check"],
        upgrade=options["upgrade"],
        format=options["file_format"],
        output_dir=output_dir.absolute() if output_dir else None,
        offline=options["offline"],
    )
    report = lock_models(locking, report=lambda step, detail: console.note(f"{step}: {detail}"))
    if console.json:
        console.document(report)
    else:
        _print(console, report)
    bad = lock_failure(report)
    if bad is None:
        return 0
    return replace(console, json=False).failure(bad)  # the report is the document; this is for people


def _print(console: Console, report: LockReport) -> None:
    rows = [
        (answer.runtime, answer.variant or "-", str(answer.target), answer.python, answer.state, answer.path or "-")
        for answer in report.locks
    ]
    if rows:
        console.table(("RUNTIME", "VARIANT", "TARGET", "PYTHON", "STATE", "FILE"), rows)
    for answer in report.locks:
        for finding in answer.findings:
            console.note(f"{answer.runtime} {answer.target} {answer.python}: {finding.message}")
    changes = [
        (answer.runtime, f"{answer.target}-py{answer.python}", change.name, change.before or "-", change.after or "-")
        for answer in report.locks
        for change in answer.changes
    ]
    if changes:
        console.line()
        console.table(("RUNTIME", "LOCK", "PACKAGE", "BEFORE", "AFTER"), changes)
    for path in report.strangers:
        console.note(f"no model needs {path} any more")
    for skipped in report.skipped:
        place = f" for {skipped.target}" if skipped.target else ""
        console.note(f"skipped: {skipped.model}{place}: {skipped.reason}")
