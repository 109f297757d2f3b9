"""``registry``: list, show and check the models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import complete_model, registry_option, verb

if TYPE_CHECKING:
    from stemsep_envs.documents.registry_lint import LintReport


@click.group("registry")
def command() -> None:
    """List, show, check and correct the models."""


@command.command("list")
@click.option("--runtime", help="Only models that this runtime runs by preference.")
@click.option("--stem", help="Only models that make this stem.")
@registry_option
@verb
def list_models(console: Console, registry_path: Path | None, runtime: str | None, stem: str | None) -> int:
    """List the models."""
    from stemsep_envs.commands.registry_list import list_registry

    report = list_registry(registry_path, runtime=runtime, stem=stem)
    console.findings("warning", report.warnings)
    if console.json:
        console.document(report)
    else:
        rows = [
            (model.id, model.architecture, model.runtime or "-", ",".join(model.stems) or "-")
            for model in report.models
        ]
        console.table(("MODEL", "ARCHITECTURE", "RUNTIME", "STEMS"), rows)
    return 0


@command.command("show")
@click.argument("model", shell_complete=complete_model)
@registry_option
@verb
def show_model(console: Console, model: str, registry_path: Path | None) -> int:
    """Print a model's entry, as it is in the registry."""
    from stemsep_envs.commands.registry_show import show_entry

    console.line(show_entry(registry_path, model))
    return 0


@command.command("validate")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@registry_option
@verb
def validate_registry(console: Console, file: Path | None, registry_path: Path | None) -> int:
    """Check a registry FILE (default: the one in use); every problem is listed with its place."""
    from stemsep_envs.commands.registry_validate import validate_file

    report = validate_file(file or registry_path)
    if console.json:
        console.document(report)
    else:
        console.findings("warning", report.warnings)
        words = "1 model" if report.model_count == 1 else f"{report.model_count} models"
        console.line(f"{report.path}: {words}, valid")
    return 0


@command.command("lint")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Put right what can be safely; the rest of the file stays as it is.")
@click.option("--output", type=click.Path(path_type=Path), help="With --fix: write here, and leave FILE alone.")
@click.option("--shipped", is_flag=True, help="With --fix: change the file that came with the program.")
@click.option("--rule", "rules", multiple=True, metavar="CODE", help="Only this rule; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Show remarks too, not only errors and warnings.")
@click.option("--rules", "list_rules", is_flag=True, help="List the rules.")
@registry_option
@verb
def lint_registry(console: Console, file: Path | None, registry_path: Path | None, **options: Any) -> int:
    """Find what is wrong with a registry FILE although it is valid; end with 2 where there are errors."""
    from stemsep_envs.commands.registry_lint import lint_file, lint_rules

    if options["list_rules"]:
        table = lint_rules()
        if console.json:
            console.document(table)
        else:
            rows = [(rule.code, rule.severity, "yes" if rule.fix else "", rule.meaning) for rule in table.rules]
            console.table(("CODE", "SEVERITY", "FIX", "FINDS"), rows)
        return 0
    if options["output"] is not None and not options["fix"]:
        raise click.UsageError("--output goes with --fix")
    report = lint_file(
        file or registry_path,
        rules=options["rules"],
        fix=options["fix"],
        output=options["output"],
        allow_shipped=options["shipped"],
    )
    if console.json:
        console.document(report)
    else:
        _tell_of_defects(console, report, everything=options["everything"] or bool(options["rules"]))
    return 2 if report.errors else 0


def _tell_of_defects(console: Console, report: LintReport, *, everything: bool) -> None:
    for finding in report.fixed:
        console.line(f"fixed: {finding.path}: {finding.message} ({finding.code})")
    for finding in report.findings:
        if everything or finding.severity != "info":
            place = f"{finding.path} ({finding.model_id})" if finding.model_id else finding.path
            console.line(f"{finding.severity}: {place}: {finding.message} ({finding.code})")
    counts = f"{report.errors} errors, {report.warnings} warnings, {report.infos} remarks"
    console.line(f"{report.path}: {report.model_count} models, {counts}")
    fixable = sum(finding.fixable for finding in report.findings)
    if report.infos and not everything:
        console.note("--all shows the remarks")
    if fixable:
        console.note(f"--fix puts {fixable} of these right")
    if report.written:
        console.note(f"written to {report.written}")
