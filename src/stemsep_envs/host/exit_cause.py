"""How a process ended, in words: from its exit status, or the signal that killed it."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class ExitCause:
    """How a process ended, in words, and whether a limit (memory, processor time, size of a file) ended it."""

    words: str
    over_limit: bool


_SIGNAL_NOTES = {
    "SIGKILL": " (often: the system ran out of memory)",
    "SIGSEGV": " (a crash in native code)",
    "SIGBUS": " (a crash in native code, or a disk that is full)",
    "SIGILL": " (a crash in native code: often built for another processor)",
    "SIGABRT": " (native code gave up)",
    "SIGXCPU": " (more processor time than allowed)",
    "SIGXFSZ": " (a larger file than allowed)",
}
_LIMIT_SIGNALS = {"SIGKILL", "SIGXCPU", "SIGXFSZ"}


def exit_cause_of(status: int) -> ExitCause:
    """Say how a process ended, from its exit status (negative: the signal; 128 + N: a shell telling of signal N)."""
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return ExitCause(f"exit status {status}" if status >= 0 else f"killed by signal {number}", over_limit=False)
    note = _SIGNAL_NOTES.get(name, "")
    words = f"killed by {name}{note}" if status < 0 else f"exit status {status}, which stands for {name}{note}"
    return ExitCause(words, name in _LIMIT_SIGNALS)


def describe_exit(status: int) -> str:
    """Say how a process ended: ``exit status 2``, or ``killed by SIGKILL (often: the system ran out of memory)``."""
    return exit_cause_of(status).words
