"""Build or reuse a model's environment."""

from __future__ import annotations

import time
from typing import Any

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import complete_model, planning_options, verb
from stemsep_envs.cli.progress import events_option, shown_events


@click.command("ensure")
@click.argument("models", nargs=-1, required=True, shell_complete=complete_model, metavar="MODEL...")
@events_option
@planning_options
@verb
def command(console: Console, models: tuple[str, ...], **options: Any) -> int:
    """Build or reuse the environment of each MODEL; say which it is.

    Models with the same needs share one environment. One that exists is answered at once.
    """
    from stemsep_envs.cli.console import findings_text, pressing
    from stemsep_envs.cli.ensure_cache import answer_text, remember
    from stemsep_envs.commands.ensure import ensure_models
    from stemsep_envs.planning.plan import PlanOptions, planning_from

    asked_at = time.time()
    planning = planning_from(options)
    with shown_events(console, options["event_style"]) as on_event:
        ensured = ensure_models(models, planning, on_event=on_event)
    warnings = "".join(findings_text("warning", pressing(plan.report.warnings)) for plan in ensured.plans)
    click.echo(warnings, err=True, nl=False)
    if planning == PlanOptions():
        remember(models, ensured, warnings=warnings, asked_at=asked_at)
    if console.json:
        console.document(ensured.report)
    else:
        console.line(answer_text(ensured.report))
    return 0
