"""What the command line offers as a whole: its version, its verbs and the help that lists them.

`stemsep-env --version` and `stemsep-env --help` are answered from here, before anything else is loaded; the tree of
commands (`app`) prints the same text.
"""

from __future__ import annotations

import os
import sys

from stemsep_envs._version import __version__
from stemsep_envs.cli.verb_table import help_lines

PROGRAM = "stemsep-env"
SUMMARY = "Run music-source-separation models, each in the environment it needs."
EPILOG = "Environment variables: STEMSEP_ENV_HOME, STEMSEP_ENV_REGISTRY, NO_COLOR. Manual: README.md and docs/."
MOST_COLUMNS = 100
"""No line of help is longer, however wide the terminal."""

_LEAST_COLUMNS = 50
_HELP_OPTIONS = ("-h", "--help")
_OPTIONS = (("--version", "Show the version and exit."), (", ".join(_HELP_OPTIONS), "Show this message and exit."))


def answer(arguments: list[str]) -> int | None:
    """Print the version or the list of verbs and return the exit code; None when something else is asked for."""
    if arguments == ["--version"]:
        text = version_text()
    elif len(arguments) == 1 and arguments[0] in _HELP_OPTIONS:
        text = help_text(terminal_columns())
    else:
        return None
    if sys.stdout is None:  # closed by whoever started us
        return 0
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        return 1
    except OSError as error:
        _give_up_stdout()
        if sys.stderr is not None:
            sys.stderr.write(f"error: cannot write to standard output: {error.strerror}\n")
        return 7
    return 0


def version_text() -> str:
    """Return what ``--version`` prints."""
    return f"{PROGRAM} {__version__}"


def help_text(columns: int) -> str:
    """Return the help of the program as a whole.

    Args:
        columns: How wide the terminal is.
    """
    width = max(min(columns, MOST_COLUMNS) - 2, _LEAST_COLUMNS)
    return "\n".join(
        [
            f"Usage: {PROGRAM} [OPTIONS] COMMAND [ARGS]...",
            "",
            *_paragraph(SUMMARY, width),
            "",
            "Options:",
            *_table(_OPTIONS, width),
            "",
            "Commands:",
            *_table(tuple(help_lines().items()), width),
            "",
            *_paragraph(EPILOG, width),
        ]
    )


def terminal_columns() -> int:
    """Return how wide the terminal is, as `shutil.get_terminal_size` does, without loading that."""
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns <= 0:
        try:
            columns = os.get_terminal_size(1).columns
        except (OSError, ValueError):
            columns = 0
    return columns or 80


def _table(rows: tuple[tuple[str, str], ...], width: int) -> list[str]:
    """Lay out names and their texts in two columns."""
    first = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, text in rows:
        head, *others = _wrapped(text, width - first - 2)
        lines.append(f"  {name:{first}}{head}")
        lines.extend(f"{'':{first + 2}}{line}" for line in others)
    return lines


def _paragraph(text: str, width: int) -> list[str]:
    return [f"  {line}" for line in _wrapped(text, width - 2)]


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text at its spaces into lines of at most ``width`` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


def _give_up_stdout() -> None:
    """Let what is still to be written go nowhere, so that no flush at exit fails again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
