"""`registry lint`: what is wrong with a registry although it is valid, and its safe correction."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from stemsep_envs.documents.registry_lint import LintFinding, LintReport, LintRule, LintRules
from stemsep_envs.errors import UsageError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import data_dir, default_registry_path, is_shipped
from stemsep_envs.registry.catalogue import read_registry_file
from stemsep_envs.registry.lint import linting
from stemsep_envs.registry.lint.rules import RULES
from stemsep_envs.registry.recipes import known_runtimes, load_runtime


def lint_file(
    path: Path | None,
    *,
    rules: Collection[str] = (),
    fix: bool = False,
    output: Path | None = None,
    allow_shipped: bool = False,
) -> LintReport:
    """Find what is wrong with a registry file although it may be valid, and correct what can be corrected safely.

    Args:
        path: The file; None for the one in use.
        rules: Only these rules; all when empty.
        fix: Make the safe corrections.
        output: Where to write them, in place of the file itself.
        allow_shipped: Whether the file may be one that came with the program.

    Raises:
        UsageError: The file is missing or unreadable, a rule is none, the file came with the program and may not be
            changed, or it was changed by somebody else meanwhile.
        InvalidDocumentError: Its top level is not that of a registry.
    """
    place = path or default_registry_path()
    _refuse_unknown_rules(rules)
    target = output or place
    if fix and is_shipped(target) and not allow_shipped:
        hint = "write elsewhere with --output, or allow it with --shipped"
        raise UsageError(f"{target} came with the program and must not be changed", hint=hint, code="registry_shipped")
    data = read_registry_file(place)
    text = linting.decode(data, origin=str(place))
    runtimes_dir = data_dir("runtimes")
    recipes = {name: load_runtime(runtimes_dir, name).recipe for name in known_runtimes(runtimes_dir)}
    if not fix:
        return _lint_report(place, linting.lint(text, recipes, origin=str(place), rules=rules))
    result = linting.fix(text, recipes, origin=str(place), rules=rules)
    written = None
    if result.text != text or (output is not None and output != place):
        if read_registry_file(place) != data:
            hint = "run it again"
            raise UsageError(f"{place} was changed while it was being read", hint=hint, code="registry_changed")
        bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        write_atomic(target, bom + result.text.encode())
        written = str(target)
    return _lint_report(place, result.left, fixed=result.fixed, written=written)


def lint_rules() -> LintRules:
    """Return every rule of `lint_file`."""
    return LintRules(
        rules=tuple(
            LintRule(code=code, severity=rule.severity, meaning=rule.meaning, fix=rule.fix)
            for code, rule in RULES.items()
        )
    )


def _refuse_unknown_rules(rules: Collection[str]) -> None:
    known = {rule.code for rule in lint_rules().rules}
    unknown = [rule for rule in rules if rule not in known]
    if unknown:
        hint = "`registry lint --rules` lists them all"
        raise UsageError(f"unknown rule: {', '.join(unknown)}", hint=hint, code="usage")


def _lint_report(
    place: Path, linted: linting.Linted, *, fixed: tuple[LintFinding, ...] = (), written: str | None = None
) -> LintReport:
    counts = Counter(finding.severity for finding in linted.findings)
    return LintReport(
        path=str(place),
        model_count=linted.model_count,
        errors=counts["error"],
        warnings=counts["warning"],
        infos=counts["info"],
        findings=linted.findings,
        fixed=fixed,
        written=written,
    )
