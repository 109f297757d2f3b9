"""Say what this machine offers and what to do for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import verb

if TYPE_CHECKING:
    from stemsep_envs.documents.doctor_report import DoctorReport


def _by_reason(report: DoctorReport) -> dict[str, list[str]]:
    """Return the builds that do not run here, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for build in report.unusable:
        reasons.setdefault(build.why, []).append(build.accelerator)
    return reasons


@click.command("doctor")
@verb
def command(console: Console) -> int:
    """Say what this machine offers to models, and what to do for more."""
    from stemsep_envs.commands.doctor import examine_host

    report = examine_host()
    if console.json:
        console.document(report)
        return 0
    memory = f", {human_bytes(report.memory_bytes)} of memory" if report.memory_bytes else ""
    console.line(f"stemsep-env   {report.version} on Python {report.python}")
    console.line(f"machine       {report.platform}, {report.processor_count} processors{memory}")
    free = human_bytes(report.home.free_bytes) if report.home.free_bytes is not None else "unknown"
    console.line(f"home          {report.home.path} ({report.home.environments} environments, {free} free)")
    console.line(f"registry      {report.registry} ({report.registry_models} models)")
    console.line(f"runtimes      {', '.join(report.runtimes)}")
    console.line(f"uv            {report.uv or 'missing'}")
    console.line(f"containers    {report.container_engine or 'no engine'}")
    for accelerator in report.accelerators:
        console.line(f"accelerator   {accelerator.accelerator}: {accelerator.why}")
    for why, builds in _by_reason(report).items():
        console.line(f"not here      {', '.join(builds)}: {why}")
    for chosen in report.targets:
        console.line(f"target        {chosen.runtime}: {chosen.target or 'none'} ({chosen.why})")
    for interpreter in report.interpreters:
        console.line(f"python        {interpreter.version}  {interpreter.path}")
    for level in report.sandbox:
        state = "yes" if level.available else "no"
        held = [axis.replace("_", " ") for axis, what in level.axes.items() if what != "open"]
        console.line(f"sandbox       {level.level}: {state} ({level.reason}); holds {', '.join(held) or 'nothing'}")
    console.findings("advice", report.advice)
    return 0
