"""What an audio file's header promises, read in pure Python.

Nothing is decoded, and nothing here is to be relied on: the worker says what the file really holds. A file may be made
to keep its reader busy or to say what no audio is like; then it says nothing here.
"""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

_log = logging.getLogger(__name__)

_MOST_CHANNELS = 1024
_MOST_HERTZ = 10_000_000
_MOST_SECONDS = 1e9

_LEAST_READS = 100_000
_BYTES_PER_READ = 64
_MOST_READS = 2_000_000
"""Ogg files are read from end to end, some hundred bytes at a time; of all other kinds, a few bytes are."""

_MOST_BYTES_AT_ONCE = 1 << 20
_MOST_BYTES = 512 << 20


@dataclass(frozen=True)
class AudioHeader:
    """What a header says of a file: channel count, rate in hertz, length in seconds; None where it says nothing."""

    channels: int | None
    sample_rate: int | None
    duration_seconds: float | None


def read_header(path: Path) -> AudioHeader | None:
    """Read a file's header; return None when its format is not known here or it is damaged."""
    from tinytag import TinyTag  # noqa: PLC0415 - only preflight of an input needs it

    try:
        with path.open("rb") as stream:
            tag = TinyTag.get(path, file_obj=cast("BinaryIO", _BoundedReader(stream)), tags=False)
    except Exception as error:  # noqa: BLE001 - a hostile header may trip the parser anywhere; that is no error of ours
        _log.debug("no header in %s: %r", path, error)
        return None
    possible = not tag.samplerate or _is_plausible(tag.samplerate, _MOST_HERTZ)
    return AudioHeader(
        channels=tag.channels if _is_plausible(tag.channels, _MOST_CHANNELS) else None,
        sample_rate=tag.samplerate if possible and tag.samplerate else None,
        duration_seconds=tag.duration if possible and _is_plausible(tag.duration, _MOST_SECONDS) else None,
    )


def _is_plausible(value: float | None, most: float) -> bool:
    return value is not None and 0 < value <= most  # neither of which is true of what is no number


class _BoundedReader:
    """A file that stops its reader when it reads more, or more often, than any honest header needs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        size = os.fstat(stream.fileno()).st_size
        self._reads_left = min(_LEAST_READS + size // _BYTES_PER_READ, _MOST_READS)
        self._bytes_left = _MOST_BYTES
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(_MOST_BYTES_AT_ONCE if size < 0 else min(size, _MOST_BYTES_AT_ONCE))
        self._reads_left -= 1
        self._bytes_left -= len(block)
        if self._reads_left < 0 or self._bytes_left < 0:
            raise io.UnsupportedOperation("the header is larger than any real one")
        return block
