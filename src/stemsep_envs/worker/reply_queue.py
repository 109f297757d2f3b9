"""What a worker sent and nobody has looked at yet: a queue of lines that never holds more than a bound."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from stemsep_envs.documents.protocol import MAX_LINE_BYTES

_MOST_BYTES = 4 * MAX_LINE_BYTES
_MOST_LINES = 4096


@dataclass(frozen=True)
class Overlong:
    """Stands for a line that was longer than the protocol allows; what comes after it is not read."""


@dataclass(frozen=True)
class EndOfReplies:
    """The worker closed its side. A line that it had begun is dropped: its end has a better cause to tell."""


Received = bytes | Overlong | EndOfReplies


class ReplyQueue:
    """The lines that a worker sent and nobody has looked at yet.

    Where nobody looks for long, the worker waits: it is not read on before what it sent is taken.
    """

    def __init__(self) -> None:
        self._lines: deque[Received] = deque()
        self._bytes = 0
        self._partial = bytearray()
        self._ended = False
        self._changed = threading.Condition()

    def feed(self, block: bytes) -> None:
        """Take what was read (an empty block: the end); waits while too much is there already."""
        with self._changed:
            if not block:
                self._end(EndOfReplies())
            scanned = len(self._partial)
            self._partial += block
            while not self._ended:
                end = self._partial.find(b"\n", scanned) + 1
                if (end or len(self._partial)) > MAX_LINE_BYTES:
                    self._end(Overlong())
                    break
                if not end:
                    break
                self._put(bytes(self._partial[:end]))
                del self._partial[:end]
                scanned = 0
                self._changed.wait_for(self._may_read_on)
            if self._ended:
                self._partial.clear()

    def get(self, timeout_seconds: float) -> Received | None:
        """Return the next line, or None when none comes in time. The end is told again and again."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._lines), timeout_seconds)
            if not self._lines:
                return None
            first = self._lines[0]
            if isinstance(first, bytes):
                self._lines.popleft()
                self._bytes -= len(first)
                self._changed.notify_all()
            return first

    def discard(self) -> None:
        """Forget what came and drop what is still to come, so that a worker that goes on talking is not held up."""
        with self._changed:
            self._lines.clear()
            self._bytes = 0
            self._end(EndOfReplies())

    def _may_read_on(self) -> bool:
        return self._ended or (self._bytes < _MOST_BYTES and len(self._lines) < _MOST_LINES)

    def _put(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        self._changed.notify_all()

    def _end(self, how: Overlong | EndOfReplies) -> None:
        if not self._ended:
            self._ended = True
            self._lines.append(how)
            self._changed.notify_all()
