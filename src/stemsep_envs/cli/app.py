"""The frame that every command runs in: exit codes, defects, signals, streams."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from stemsep_envs._version import __version__
from stemsep_envs.cli import overview
from stemsep_envs.cli.console import Console
from stemsep_envs.cli.streams import give_up, mend_streams
from stemsep_envs.cli.verb_group import VerbGroup
from stemsep_envs.errors import InterruptedRunError, StemsepEnvError, UsageError
from stemsep_envs.host.signals import ENDING_SIGNALS

_interrupted = threading.Event()


class _Program(VerbGroup):
    """All verbs and groups of verbs."""

    def get_help(self, _: click.Context) -> str:
        """Return the help that is printed without loading click."""
        return overview.help_text(overview.terminal_columns())


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": overview.MOST_COLUMNS},
    help=overview.SUMMARY,
)
@click.version_option(__version__, prog_name=overview.PROGRAM, message="%(prog)s %(version)s")
def app() -> None:
    """Hold the verbs."""


def run_app(arguments: list[str]) -> int:
    """Run a command line; return its exit code."""
    mend_streams()
    _mend_signals()
    console = Console(json="--json" in arguments)
    try:
        with _interruptible():
            return _run(arguments, console)
    except BrokenPipeError:  # whoever read our output has gone; there is nobody left to tell
        give_up(1)
        give_up(2)
        return 1
    except StemsepEnvError as error:  # even an error could not be told on standard output
        return console.failure(error)


def _run(arguments: list[str], console: Console) -> int:
    try:
        result = app.main(arguments, prog_name=overview.PROGRAM, standalone_mode=False, obj=console)
    except click.exceptions.NoArgsIsHelpError as error:  # nothing was asked: say what can be
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"{context.command_path} --help" if context else None
        return console.failure(UsageError(error.format_message(), hint=hint))
    except (KeyboardInterrupt, click.Abort):
        return console.failure(InterruptedRunError("interrupted"))
    except StemsepEnvError as error:
        return console.failure(error)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug becomes one line and a report
        # Some libraries wrap an interruption in an error of their own.
        interrupted = _interrupted.is_set()
        return console.failure(InterruptedRunError("interrupted")) if interrupted else console.bug(error)
    return result if isinstance(result, int) else 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C, a request to end and the end of the terminal interrupt the block, once; then handlers are as before.

    After an interruption they stay ignored: the process ends, and an impatient user must not disturb its last words.
    """
    before = {}
    _interrupted.clear()
    with suppress(ValueError):  # not in the main thread: someone else handles signals
        for number in ENDING_SIGNALS:
            handler = signal.getsignal(number)
            if handler not in {None, signal.SIG_IGN}:  # ignored by nohup, or a shell with a job behind it
                signal.signal(number, _interrupt)
                before[number] = handler
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, handler)


def _interrupt(_: int, __: object) -> None:
    """Interrupt what is being done, once: a second signal would interrupt the cleaning up."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _interrupted.set()
    raise KeyboardInterrupt


def _mend_signals() -> None:
    """Undo what whoever started us may have handed down: children nobody is told of, signals that never arrive."""
    if sys.platform == "win32":
        return
    with suppress(ValueError):  # not in the main thread: someone else handles signals
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*ENDING_SIGNALS, signal.SIGCHLD})
