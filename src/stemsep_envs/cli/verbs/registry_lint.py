"""Find what is wrong with a registry file although it is valid, and correct what can be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import registry_option, verb

if TYPE_CHECKING:
    from stemsep_envs.documents.registry_lint import LintReport


@click.command("lint")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Correct what can be corrected safely; leave the rest of the file as it is.")
@click.option("--output", type=click.Path(path_type=Path), help="With --fix: write here, and leave FILE alone.")
@click.option("--shipped", is_flag=True, help="With --fix: change the file that came with the program.")
@click.option("--rule", "rules", multiple=True, metavar="CODE", help="Only this rule; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Show remarks too, not only errors and warnings.")
@click.option("--rules", "list_rules", is_flag=True, help="List the rules.")
@registry_option
@verb
def command(console: Console, file: Path | None, registry_path: Path | None, **options: Any) -> int:
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
        console.note(f"--fix corrects {fixable} of these")
    if report.written:
        console.note(f"written to {report.written}")
