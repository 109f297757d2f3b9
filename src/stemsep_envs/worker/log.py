"""What a worker prints: kept to a bound, cleaned of everything that could steer a terminal."""

from __future__ import annotations

import re
import threading
from collections import deque

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links, clipboard
    r"|\x1b[@-Z\\-_]"  # other two-character escapes
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # control characters but tab and newline
    r"|[\u202a-\u202e\u2066-\u2069]"  # bidirectional overrides, which make text read as it is not
)

MAX_LINES = 2_000
MAX_LINE_CHARS = 2_000
TAIL_LINES = 12


def clean(text: str) -> str:
    """Remove terminal escapes, control characters and bidirectional overrides from text."""
    return _ESCAPES.sub("", text)


class WorkerLog:
    """The last lines that a worker printed. Safe to write from one thread and read from another."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._guard = threading.Lock()

    def add(self, line: str) -> None:
        """Keep one line, cleaned and cut to `MAX_LINE_CHARS`."""
        kept = clean(line[:MAX_LINE_CHARS]).rstrip()
        with self._guard:
            self._lines.append(kept)

    def text(self) -> str:
        """Return all that is kept."""
        with self._guard:
            return "\n".join(self._lines)

    def tail(self) -> str:
        """Return the last `TAIL_LINES` lines that are not blank."""
        with self._guard:
            lines = [line for line in self._lines if line.strip()]
        return "\n".join(lines[-TAIL_LINES:])
