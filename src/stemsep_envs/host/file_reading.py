"""Reading files: plain ones alone, block by block, with their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import IO

BLOCK_BYTES = 1 << 18


def blocks_of(stream: BufferedIOBase) -> Iterator[memoryview]:
    """Yield what an open file holds, block by block, in one buffer that is filled again: use each before the next."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    while size := stream.readinto(buffer):
        yield buffer[:size]


def sha256_of(path: Path, *, check: Callable[[], None] | None = None) -> tuple[str, int]:
    """Return the SHA-256 (hexadecimal) and the size in bytes of a file.

    Args:
        path: The file.
        check: Called after every block; may raise to stop.
    """
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        for block in blocks_of(stream):
            digest.update(block)
            size += len(block)
            if check is not None:
                check()
    return digest.hexdigest(), size


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading that is a plain file: neither a folder, nor a pipe that would never end, nor a device.

    Raises:
        OSError: It cannot be opened, or is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(descriptor, "rb")


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
