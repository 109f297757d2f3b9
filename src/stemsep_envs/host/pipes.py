"""Our ends of a child's pipes, each served by a thread that can be told to stop, so that no pipe waits for another.

Being told matters: a process that the child left behind may hold the other end open for ever, and a thread that waits
in a plain read could be neither ended nor have its descriptor closed under it.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

Sink = Callable[[bytes], None]
"""Takes what was read, block by block, on a thread of its own; an empty block says that nothing more will come."""

_BLOCK_BYTES = 1 << 16


class Stop:
    """Wakes every thread that waits on a pipe. On Windows, where pipes cannot be polled, the other end's close does."""

    def __init__(self) -> None:
        self.is_set = False
        if sys.platform != "win32":
            reading, writing = os.pipe()
            self._reading, self._writing = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)

    def set(self) -> None:
        """Tell the threads to stop."""
        self.is_set = True
        if sys.platform != "win32":
            self._writing.close()  # everyone who polls the other end hears of it

    def close(self) -> None:
        """Let go of the descriptors; no thread may be waiting any more."""
        if sys.platform != "win32":
            self._reading.close()

    def wait(self, descriptor: int, event: int) -> bool:
        """Wait until something can be done with a descriptor; False when it is time to stop."""
        if sys.platform != "win32" and not self.is_set:
            poll = select.poll()
            poll.register(descriptor, event)
            poll.register(self._reading, _READABLE)
            poll.poll()
        return not self.is_set


class Reader(threading.Thread):
    """Reads a pipe to its end, or until told to stop, and hands on what comes."""

    def __init__(self, stream: IO[bytes], sink: Sink, stop: Stop) -> None:
        super().__init__(name="pipe-reader", daemon=True)
        self._stream, self._sink, self._stopping = stream, sink, stop
        self.start()

    def run(self) -> None:
        """Read; whatever happens, the sink is told of the end and the pipe is closed."""
        try:
            with self._stream as stream, suppress(OSError):
                descriptor = stream.fileno()
                while self._stopping.wait(descriptor, _READABLE):
                    block = os.read(descriptor, _BLOCK_BYTES)
                    if not block:
                        break
                    self._sink(block)
        finally:
            self._sink(b"")


class Writer(threading.Thread):
    """Writes to a pipe what it is given, so that nobody waits for a child that does not read."""

    def __init__(self, stream: IO[bytes], stop: Stop) -> None:
        super().__init__(name="pipe-writer", daemon=True)
        self._stream, self._stopping = stream, stop
        self._blocks: deque[bytes | None] = deque()
        self._given = threading.Semaphore(0)
        self.start()

    def send(self, data: bytes | None) -> None:
        """Have ``data`` written; None closes the pipe after all that was given before."""
        self._blocks.append(data)
        self._given.release()

    def run(self) -> None:
        """Write until the pipe is to be closed, or nobody reads it any more."""
        with suppress(OSError), self._stream as stream:  # a child that does not read is told of by its end
            descriptor = stream.fileno()
            if sys.platform != "win32":
                os.set_blocking(descriptor, False)
            while (block := self._next()) is not None:
                rest = memoryview(block)
                while rest and self._stopping.wait(descriptor, _WRITABLE):
                    with suppress(BlockingIOError):
                        rest = rest[os.write(descriptor, rest[:_BLOCK_BYTES]) :]

    def _next(self) -> bytes | None:
        self._given.acquire()
        return None if self._stopping.is_set else self._blocks.popleft()


_READABLE = getattr(select, "POLLIN", 0)
_WRITABLE = getattr(select, "POLLOUT", 0)
