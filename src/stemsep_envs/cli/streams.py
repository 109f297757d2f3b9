"""Standard streams that are safe to print on, whatever whoever started us made of them."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


def mend_streams() -> None:
    """Make printing safe: on streams that are closed, or cannot be written, and of names that are no text.

    What is said on stderr goes beside the result. Where it cannot be written (a full disk, a terminal that was closed,
    a reader that has gone), the work goes on, silently.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # What is opened next would get this descriptor, and be written to by whoever prints.
            with suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != descriptor:
                    os.dup2(opened, descriptor)
                    os.close(opened)
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for the process's life
    if isinstance(sys.stdout, io.TextIOWrapper):
        as_it_was = os.name == "posix" and sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if as_it_was else "backslashreplace")
    ours = sys.stderr
    is_original = ours is sys.__stderr__  # not what a test put there
    if os.name == "posix" and isinstance(ours, io.TextIOWrapper) and is_original:
        willing = io.BufferedWriter(Willing(2))
        sys.stderr = io.TextIOWrapper(willing, ours.encoding, "backslashreplace", line_buffering=True)


def give_up(descriptor: int) -> None:
    """Let what is still to be written to a standard stream go nowhere, so that no flush at exit fails again."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class Willing(io.RawIOBase):
    """A descriptor that takes whatever is written to it: where it can not, from then on it goes nowhere."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: Buffer, /) -> int:
        """Write some of the data; return how much."""
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever shares the pipe made it so
                select.select([], [self._descriptor], [])
            except OSError:
                give_up(self._descriptor)
                return memoryview(data).nbytes

    def writable(self) -> bool:
        """Say that it is to be written."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return os.isatty(self._descriptor)
