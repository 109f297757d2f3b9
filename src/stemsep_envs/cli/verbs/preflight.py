"""Say whether a model will run here, how, and if not why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import complete_model, planning_options, settings_options, verb
from stemsep_envs.errors import BlockedError

if TYPE_CHECKING:
    from stemsep_envs.documents.preflight import PreflightReport


@click.command("preflight")
@click.argument("model", shell_complete=complete_model)
@click.argument("input_path", metavar="[INPUT]", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("--phase-fix-reference", metavar="MODEL", help="Check this model as the reference of a phase fix.")
@click.option("--resolve", is_flag=True, help="Resolve now where there is no lock yet, and keep the lock.")
@settings_options
@planning_options
@verb
def command(console: Console, model: str, input_path: Path | None, **options: Any) -> int:
    """Say whether a model will run here, how, and if not why. No package is downloaded, nothing is built or started."""
    from stemsep_envs.commands.preflight import preflight_model
    from stemsep_envs.planning.plan import planning_from

    report = preflight_model(model, planning_from(options), input_path=input_path)
    if console.json:
        console.document(report)
    else:
        _show(console, report)
    return 0 if report.can_proceed else BlockedError.exit_code


def _show(console: Console, report: PreflightReport) -> None:
    verdict = "can run here" if report.can_proceed else "cannot run here"
    console.line(f"{report.model_id} {verdict}")
    resolved = report.resolved
    if resolved is not None:
        variant = f", variant {resolved.variant}" if resolved.variant else ""
        console.line(f"  runtime      {resolved.runtime}{variant} ({resolved.runtime_reason})")
        console.line(f"  target       {resolved.target} ({resolved.target_reason})")
        environment = resolved.environment
        digest = f" {environment.digest[:12]}" if environment.digest else ""
        console.line(f"  environment  {environment.state.replace('_', ' ')}{digest}")
        sandbox = resolved.sandbox
        console.line(f"  sandbox      {sandbox.level or 'none'} (needs {sandbox.required_level}: {sandbox.reason})")
        for name, value in resolved.settings.items():
            if value is None:
                console.line(f"  setting      {name}: as the model or its engine has it")
                continue
            unit = f" {resolved.settings_unit[name]}" if resolved.settings_unit.get(name) else ""
            console.line(f"  setting      {name} = {value}{unit} ({resolved.settings_source[name]})")
        status = resolved.requirements_status
        wanted = [status.python, *([status.torch] if status.torch else []), *status.packages, *status.files]
        for requirement in (*wanted, *status.manual_steps):
            console.line(
                f"  needs        {requirement.name}: {requirement.status.replace('_', ' ')} ({requirement.reason})"
            )
        for artifact in resolved.artifacts:
            size = f", {human_bytes(artifact.size_bytes)}" if artifact.size_bytes is not None else ""
            state = f"{artifact.status.replace('_', ' ')}{size}"
            console.line(f"  file         {artifact.filename}: {state} ({artifact.reason})")
    console.findings("error", report.errors)
    console.findings("warning", report.warnings)
