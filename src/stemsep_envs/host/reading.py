"""Reading a file that is copied: what its own disk says is told from what the disk says that it is copied to."""

from __future__ import annotations

import io
from typing import IO


class UnreadableError(Exception):
    """A file was opened and cannot be read; the message is what the operating system says."""


class Readable(io.BufferedIOBase):
    """An open file, of which the system's errors are `UnreadableError`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int | None = -1) -> bytes:
        """Read some, as the file does."""
        try:
            return self._stream.read(-1 if size is None else size)
        except OSError as error:
            if error.errno is None:  # a library's word, and not the system's
                raise
            raise UnreadableError(error.strerror or str(error)) from None

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some into a buffer."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)
