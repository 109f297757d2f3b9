"""What ``registry lint`` prints with ``--json``."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document

LintSeverity = Literal["error", "warning", "info"]


class LintFinding(Document):
    """One defect of a registry."""

    code: str
    """The rule."""
    severity: LintSeverity
    model_id: str | None
    """The model, where the entry has a readable id."""
    path: str
    """Dotted path of the field: ``models[3].artifacts.primary.filename``."""
    message: str
    fixable: bool
    """Whether ``--fix`` changes it."""


class LintReport(Document):
    """What is wrong with a registry, entry by entry."""

    schema_version: Literal[1] = 1
    path: str
    model_count: int
    errors: int
    warnings: int
    infos: int
    findings: tuple[LintFinding, ...]
    fixed: tuple[LintFinding, ...] = ()
    """What ``--fix`` changed; no longer among the findings."""
    written: str | None = None
    """The file that ``--fix`` wrote."""


class LintRule(Document):
    """A rule, as ``registry lint --rules`` tells of it."""

    code: str
    severity: LintSeverity
    meaning: str
    fix: str | None
    """What ``--fix`` does; None when a person must decide."""


class LintRules(Document):
    """All rules."""

    schema_version: Literal[1] = 1
    rules: tuple[LintRule, ...]
