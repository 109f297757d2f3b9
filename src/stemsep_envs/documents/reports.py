"""What commands print with ``--json`` when the document is not one of its own: errors and short answers."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.errors import Reason


class Finding(Document):
    """Why something is refused or doubtful.

    ``code`` is stable and documented, ``path`` is the dotted path of the registry field that caused it, ``details`` are
    a tool's own words, such as a resolver's reasoning.
    """

    code: str
    message: str
    hint: str | None = None
    path: str | None = None
    details: str | None = None


def finding_of(reason: Reason) -> Finding:
    """Return what a report tells of a reason: all but which requirements it is about, which is for code."""
    return Finding(code=reason.code, message=reason.message, hint=reason.hint, path=reason.path, details=reason.details)


class ErrorBody(Document):
    """What went wrong, with the exit code that the process ends with."""

    code: str
    message: str
    hint: str | None = None
    exit_code: int
    findings: tuple[Finding, ...] = ()
    """Every reason or problem when there are several: of a blocked model, of an invalid document."""
    output: str | None = None
    """A failed tool's own words."""
    command: str | None = None
    """The command line that repeats the failure."""
    report_path: str | None = None
    """Where the traceback of a bug was written."""


class ErrorReport(Document):
    """The document of any command that failed before it had a report of its own."""

    schema_version: Literal[1] = 1
    error: ErrorBody
