"""Printing: results to stdout, all else to stderr; one JSON document on stdout with ``--json``."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.streams import give_up
from stemsep_envs.documents.terminal import visible
from stemsep_envs.errors import (
    EXIT_BUG,
    BlockedError,
    BuildError,
    InvalidDocumentError,
    LimitError,
    StemsepEnvError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from stemsep_envs.documents.reports import ErrorBody, Finding

_MOST_SHOWN = 50
"""Problems listed for people; ``--json`` lists them all."""


class _Plain(logging.Formatter):
    """Words log messages such that the names in them, which others may have chosen, steer no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a message."""
        return "\n".join(map(visible, super().format(record).split("\n")))


@dataclass
class Console:
    """How this invocation prints."""

    json: bool = False
    verbose: int = 0
    quiet: bool = False

    def document(self, document: BaseModel) -> None:
        """Print the result of a ``--json`` command: UTF-8, as JSON is, whatever the locale."""
        from stemsep_envs.documents.writing import json_text

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="strict")
        self._out(json_text(document))

    def line(self, text: str = "") -> None:
        """Print a line of the result for people, or several."""
        self._out("\n".join(map(visible, text.split("\n"))))

    def path(self, path: Path) -> None:
        """Print a path of the result as it is, for whatever program reads our output."""
        self._out(str(path))

    def note(self, text: str) -> None:
        """Say something beside the result."""
        if not self.quiet:
            click.echo("\n".join(map(visible, text.split("\n"))), err=True)

    def findings(self, kind: str, findings: Iterable[Finding]) -> None:
        """Print errors or warnings for people, on stderr, each with its remedy."""
        click.echo(findings_text(kind, findings), err=True, nl=False)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows in columns. The last column takes what is left of the line."""
        table = [list(header), *(list(map(visible, row)) for row in rows)]
        widths = [max(len(row[column]) for row in table) for column in range(len(header) - 1)]
        for row in table:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            self._out("  ".join([*cells, row[-1]]).rstrip())

    def failure(self, error: StemsepEnvError) -> int:
        """Report an error; return the exit code."""
        body = error_body(error)
        click.echo(f"error: {visible(error.message)}", err=True)
        for finding in body.findings[:_MOST_SHOWN]:
            place = f"{finding.path}: " if finding.path else ""
            click.echo(f"  - {visible(place + finding.message)}", err=True)
            if finding.details:
                click.echo(_indented(finding.details.rstrip(), "    | "), err=True)
            if finding.hint:
                click.echo(_indented(finding.hint, "    "), err=True)
        if len(body.findings) > _MOST_SHOWN:
            click.echo(f"  - and {len(body.findings) - _MOST_SHOWN} more (--json lists them all)", err=True)
        if body.output:
            click.echo(_indented(body.output.rstrip(), "  | "), err=True)
        if body.command:
            click.echo(f"  to repeat it: {visible(body.command)}", err=True)
        if body.hint:
            click.echo(_indented(body.hint), err=True)
        if self.json:
            from stemsep_envs.documents.reports import ErrorReport

            self.document(ErrorReport(error=body))
        return error.exit_code

    def bug(self, error: BaseException) -> int:
        """Report a defect of this program: one line, and a file with the traceback."""
        from stemsep_envs.cli.bug_reports import write_bug_report
        from stemsep_envs.host.redaction import redact

        path = write_bug_report(error)
        message = redact(str(error) or repr(error))
        where = f"; the details are in {path}" if path else ""
        words = visible(f"{type(error).__name__}: {message}")
        click.echo(f"error: this is a bug in stemsep-env ({words}){where}", err=True)
        if self.json:
            from stemsep_envs.documents.reports import ErrorBody, ErrorReport

            body = ErrorBody(code="bug", message=message, exit_code=EXIT_BUG, report_path=path)
            self.document(ErrorReport(error=body))
        return EXIT_BUG

    def configure_logging(self) -> None:
        """Send log messages to stderr: warnings, or more with each ``-v``."""
        level = {0: logging.WARNING, 1: logging.INFO}.get(self.verbose, logging.DEBUG)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Plain("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=level, handlers=[handler], force=True)

    def _out(self, text: str) -> None:
        try:
            click.echo(text)
        except BrokenPipeError:  # whoever read our output has gone: `run_app` knows
            raise
        except OSError as error:
            self.json = False  # there is no telling it there
            give_up(1)
            raise LimitError(
                f"cannot write to standard output: {error.strerror}",
                hint="the command itself succeeded; only printing its result failed",
                code="no_output",
            ) from None


def findings_text(kind: str, findings: Iterable[Finding]) -> str:
    """Return errors or warnings for people, each with its remedy, as whole lines."""
    lines = []
    for finding in findings:
        place = f" [{finding.path}]" if finding.path else ""
        lines.append(f"{visible(f'{kind}: {finding.message} ({finding.code}){place}')}\n")
        if finding.details:
            lines.append(f"{_indented(finding.details.rstrip(), '  | ')}\n")
        if finding.hint:
            lines.append(f"{_indented(finding.hint)}\n")
    return "".join(lines)


def pressing(warnings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the warnings that are worth saying at every run; the others are for preflight."""
    return tuple(warning for warning in warnings if warning.code != "known_issue")


def error_body(error: StemsepEnvError) -> ErrorBody:
    """Return an error as the document that ``--json`` prints."""
    from stemsep_envs.documents.reports import ErrorBody, Finding, finding_of

    findings: tuple[Finding, ...] = ()
    if isinstance(error, BlockedError):
        findings = tuple(map(finding_of, error.reasons))
    elif isinstance(error, InvalidDocumentError):
        findings = tuple(
            Finding(code="invalid", message=problem.message, path=problem.path or None) for problem in error.problems
        )
    built = error if isinstance(error, BuildError) else None
    return ErrorBody(
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
        findings=findings,
        output=(built.output or None) if built else None,
        command=built.command if built else None,
    )


def human_bytes(count: int) -> str:
    """Write a number of bytes for people: ``63 MiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def human_seconds(seconds: float) -> str:
    """Write a time for people: ``0.4 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _indented(text: str, indent: str = "  ") -> str:
    return "\n".join(indent + visible(line.expandtabs()) for line in text.splitlines())
