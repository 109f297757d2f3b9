"""What a worker prints: kept to a bound, cleaned of everything that could steer a terminal."""

from __future__ import annotations

import threading
from collections import deque

from stemsep_envs.documents.terminal import clean

_LINE_BYTES = 1 << 16
"""A line that is longer is cut in parts as it comes."""

MAX_LINES = 2_000
MAX_LINE_CHARS = 2_000
TAIL_LINES = 12
TAIL_LINE_CHARS = 500


class WorkerLog:
    """The last lines that a worker printed. Safe to write from one thread and read from another."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._guard = threading.Lock()

    def add(self, text: str) -> None:
        """Keep one or more lines, each cut to `MAX_LINE_CHARS`."""
        for line in text.split("\n"):
            # A progress bar goes back to the start of its line and writes over it: its last state is what one sees.
            seen = line.rstrip("\r").rpartition("\r")[2]
            with self._guard:
                self._lines.append(seen[:MAX_LINE_CHARS])

    def text(self) -> str:
        """Return all that is kept, cleaned."""
        return "\n".join(self._cleaned())

    def tail(self) -> str:
        """Return the last `TAIL_LINES` lines that are not blank, cleaned, each cut to `TAIL_LINE_CHARS`."""
        lines = [line[:TAIL_LINE_CHARS] for line in self._cleaned() if line]
        return "\n".join(lines[-TAIL_LINES:])

    def _cleaned(self) -> list[str]:
        with self._guard:
            lines = list(self._lines)
        return [clean(line).rstrip() for line in lines]


class LogLines:
    """Cuts what a worker prints into lines for its log."""

    def __init__(self, log: WorkerLog) -> None:
        self._log = log
        self._partial = b""

    def feed(self, block: bytes) -> None:
        """Take what was read (an empty block: the end)."""
        *lines, self._partial = (self._partial + block).split(b"\n")
        if self._partial and (not block or len(self._partial) > _LINE_BYTES):
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._log.add(line.decode(errors="replace"))
