"""Output files that vanish unless their request is finished."""

from __future__ import annotations

import io
import os
import threading
from typing import List, Optional, Union

from .failures import RequestError, from_output_error

Buffer = Union[bytes, bytearray, memoryview]


class OutputFile:
    """A new file, unbuffered. Every failure to write it is a `RequestError`: `no_space` or `output_failed`."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # "x": never over a file that is there, which a failed request would then remove.
            self._raw = io.FileIO(path, "x+")
        except OSError as error:
            raise from_output_error(error, path) from error

    def write(self, data: Buffer) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += self._raw.write(view[done:]) or 0
            except OSError as error:
                raise from_output_error(error, self.path) from error
        return len(view)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        return self._raw.read(size) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._raw.tell()

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._raw.closed

    def close(self) -> None:
        """Close; some file systems report a full disk only now."""
        try:
            self._raw.close()
        except OSError as error:
            raise from_output_error(error, self.path) from error


class CallbackFile:
    """An `OutputFile` for encoders that write through C, where an exception cannot pass.

    A failed write is kept, and raised by `check` once the encoder has returned. An encoder that is cleared away after
    its file was discarded writes its last bytes to nowhere.
    """

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._error: Optional[RequestError] = None

    def write(self, data: Buffer) -> int:
        """Claim to have written `data`, so that the encoder goes on to where `check` is called."""
        if self._error is None and not self._file.closed:
            try:
                self._file.write(data)
            except RequestError as error:
                self._error = error
        return memoryview(data).nbytes

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        return b"" if self._file.closed else self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        return 0 if self._file.closed else self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte goes."""
        return 0 if self._file.closed else self._file.tell()

    def check(self) -> None:
        """Raise the first failure."""
        if self._error is not None:
            raise self._error


class PartialFiles:
    """The files of the running request, removed together unless it is finished."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: List[OutputFile] = []
        self._abandoned = False

    def create(self, path: str) -> OutputFile:
        """A new file of this request."""
        with self._lock:
            if self._abandoned:
                raise RequestError("cancelled", "the session has ended")
            file = OutputFile(path)
            self._files.append(file)
            return file

    def remove(self, file: OutputFile) -> None:
        """Remove one file now: it was needed on the way only."""
        with self._lock:
            self._files.remove(file)
            _discard(file)

    def keep(self) -> None:
        """The request is finished: its files stay."""
        with self._lock:
            for file in self._files:
                file.close()
            self._files.clear()

    def discard(self) -> None:
        """The request has failed: remove its files."""
        with self._lock:
            for file in self._files:
                _discard(file)
            self._files.clear()

    def abandon(self) -> None:
        """Remove the files of the running request and let no other be created. From any thread."""
        with self._lock:
            self._abandoned = True
        self.discard()


def _discard(file: OutputFile) -> None:
    try:
        # Before closing: elsewhere an open file can be removed, and closing first would race with its writer. Windows
        # removes closed files only.
        if os.name == "nt":
            file.close()
        os.unlink(file.path)
        file.close()
    except (OSError, RequestError):
        # What is left is in a folder that the host made for this request and clears.
        pass
