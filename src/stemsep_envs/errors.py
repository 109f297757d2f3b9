"""Every error a user can meet, and the exit code it becomes.

One base with ``message``, ``hint``, ``code`` and ``exit_code``; a subclass for each meaning of the exit-code table. An
exception of any other type that reaches the command line is a bug here and exits 3. Misuse of a function inside the
package stays a ``TypeError`` or ``ValueError``, so that it looks like the bug it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

EXIT_DONE = 0
EXIT_BUG = 3


class StemsepEnvError(Exception):
    """Something the user can act on.

    Args:
        message: What failed and where, in one sentence.
        hint: What to do next, or None when the message says all there is.
        code: A stable word for programs; defaults to the class's own.
    """

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code


class ModelError(StemsepEnvError):
    """The model's own code, or the input it was given, made the run fail."""

    exit_code = 1
    default_code = "model_failed"


class UsageError(StemsepEnvError):
    """The command, its options or the paths it was given are wrong."""

    exit_code = 2
    default_code = "usage"


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a document: where (a dotted path, ``""`` for the whole) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidDocumentError(UsageError):
    """A document breaks its schema. All its problems are carried, in document order."""

    default_code = "invalid_document"

    def __init__(self, origin: str, problems: tuple[Problem, ...], *, hint: str | None = None) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{origin}: {count}", hint=hint)
        self.origin = origin
        self.problems = problems


class MismatchError(StemsepEnvError):
    """A digest, a signature or a lock does not match what was promised."""

    exit_code = 4
    default_code = "mismatch"


class BuildError(StemsepEnvError):
    """Resolving or building failed.

    Args:
        message: What failed.
        hint: What to do next.
        code: A stable word for programs.
        output: The tool's own words, already bounded.
        command: The command line that repeats the failure, with secrets hidden.
        about: What cannot be met, as `Reason.about`.
    """

    exit_code = 5
    default_code = "build_failed"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        output: str = "",
        command: str | None = None,
        about: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.output = output
        self.command = command
        self.about = about


@dataclass(frozen=True)
class Reason:
    """Why something is refused or doubtful.

    Attributes:
        code: A stable word for programs.
        message: In one sentence.
        hint: What to do next.
        path: The registry field behind it.
        details: A tool's own words, where there are some: a resolver's reasoning.
        about: Which requirements it speaks of: distributions by their normalized name, or ``python``. Empty when it
            speaks of none in particular. For code that decides; reports do not carry it.
    """

    code: str
    message: str
    hint: str | None = None
    path: str | None = None
    details: str | None = None
    about: tuple[str, ...] = ()


class BlockedError(StemsepEnvError):
    """Preflight or the sandbox policy refuses. Carries every reason, not the first."""

    exit_code = 6
    default_code = "blocked"

    def __init__(self, message: str, reasons: tuple[Reason, ...], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reasons = reasons


class LimitError(StemsepEnvError):
    """A deadline passed or a resource (disk, memory, output size) ran out."""

    exit_code = 7
    default_code = "limit"


class InterruptedRunError(StemsepEnvError):
    """The user, or a signal, ended the work; nothing half-made is left visible."""

    exit_code = 130
    default_code = "interrupted"
