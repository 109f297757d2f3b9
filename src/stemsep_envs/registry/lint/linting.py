"""Applying the rules to a file's text, and its safe corrections to the text. Pure: text in, findings and text out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stemsep_envs.documents.base import load_json, validate
from stemsep_envs.documents.collector import collection_paused
from stemsep_envs.documents.json_edits import Edit, edited
from stemsep_envs.documents.problems import dotted_path
from stemsep_envs.documents.registry import ModelEntry, RegistryHead, repeated_ids
from stemsep_envs.documents.registry_lint import LintFinding, LintSeverity
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.errors import InvalidDocumentError, Problem
from stemsep_envs.registry.lint.rules import RULES
from stemsep_envs.registry.lint.subject import Defect, Entry, Subject

_ORDER: dict[LintSeverity, int] = {"error": 0, "warning": 1, "info": 2}
_MOST_ROUNDS = 4
"""A correction can make another possible (a file that is named can be renamed); more rounds than rules depend on."""


@dataclass(frozen=True)
class Linted:
    """A file's defects: worst first, then in the order of the file; and what would put some of them right."""

    model_count: int
    findings: tuple[LintFinding, ...]
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Fixed:
    """A file's text after its safe corrections, what they were, and what is left."""

    text: str
    fixed: tuple[LintFinding, ...]
    left: Linted


def decode(data: bytes, *, origin: str) -> str:
    """Return a file's text, without a byte-order mark.

    Raises:
        InvalidDocumentError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(origin, (Problem("", f"not UTF-8: {error.reason} at {error.start}"),)) from None


def lint(text: str, recipes: Mapping[str, RuntimeRecipe], *, origin: str, rules: Collection[str] = ()) -> Linted:
    """Find the defects of a registry.

    Args:
        text: The file's content, without a byte-order mark.
        recipes: The runtimes that are here, by id.
        origin: What to call the file in messages.
        rules: Only these rules; all when empty.

    Raises:
        InvalidDocumentError: It is no JSON, or no registry at its top. Entries that break the schema are findings.
    """
    with collection_paused():
        value = load_json(text, origin=origin)
        models = value.get("models") if isinstance(value, dict) else None
        if not isinstance(models, list):
            raise InvalidDocumentError(origin, (Problem("models", "required, and a list"),))
        validate({name: member for name, member in value.items() if name != "models"}, RegistryHead, origin=origin)
        entries, invalid = _entries(models)
        invalid += [_invalid(models, problem.path, problem.message) for problem in repeated_ids(value)]
        subject = Subject(tuple(entries), recipes)
        asked = {code: rule.check for code, rule in RULES.items() if not rules or code in rules}
        defects = [(code, defect) for code, check in asked.items() if check for defect in check(subject)]
    findings = [*(invalid if "invalid" in asked else []), *(_finding(code, defect) for code, defect in defects)]
    places = {finding: place for place, finding in enumerate(findings)}
    ordered = sorted(findings, key=lambda finding: (_ORDER[finding.severity], _index(finding.path), places[finding]))
    edits = tuple(edit for _, defect in defects for edit in defect.edits)
    return Linted(len(models), tuple(ordered), edits)


def fix(text: str, recipes: Mapping[str, RuntimeRecipe], *, origin: str, rules: Collection[str] = ()) -> Fixed:
    """Make every safe correction; raises as `lint` does."""
    fixed: list[LintFinding] = []
    found = lint(text, recipes, origin=origin, rules=rules)
    for _ in range(_MOST_ROUNDS):
        if not found.edits:
            break
        text = edited(text, found.edits)
        fixed += [finding for finding in found.findings if finding.fixable]
        found = lint(text, recipes, origin=origin, rules=rules)
    return Fixed(text, tuple(dict.fromkeys(fixed)), found)


def _entries(models: Iterable[Any]) -> tuple[list[Entry], list[LintFinding]]:
    entries, findings = [], []
    for index, value in enumerate(models):
        try:
            entries.append(Entry(index, validate(value, ModelEntry, origin=f"models[{index}]")))
        except InvalidDocumentError as error:
            model_id = value.get("id") if isinstance(value, dict) else None
            for problem in error.problems:
                path = f"models[{index}].{problem.path}" if problem.path else f"models[{index}]"
                findings.append(_broken(path, problem.message, model_id))
    return entries, findings


def _invalid(models: list[Any], path: str, message: str) -> LintFinding:
    entry = models[_index(path)]
    return _broken(path, message, entry.get("id") if isinstance(entry, dict) else None)


def _broken(path: str, message: str, model_id: Any) -> LintFinding:
    known = model_id if isinstance(model_id, str) else None
    return LintFinding(code="invalid", severity="error", model_id=known, path=path, message=message, fixable=False)


def _finding(code: str, defect: Defect) -> LintFinding:
    severity = RULES[code].severity
    if severity == "error" and defect.entry.stopped:
        severity = "warning"
    return LintFinding(
        code=code,
        severity=severity,
        model_id=defect.entry.model.id,
        path=f"{dotted_path(('models', defect.entry.index))}.{defect.path}",
        message=defect.message,
        fixable=bool(defect.edits),
    )


def _index(path: str) -> int:
    number = path.partition("[")[2].partition("]")[0]
    return int(number) if number.isdigit() else -1
