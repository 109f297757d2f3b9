"""What an audio file's header promises, read in pure Python.

Nothing is decoded, and nothing here is to be relied on: the worker says what the file really holds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioHeader:
    """A header's word on a file: channel count, rate in hertz, length in seconds; None where it says nothing."""

    channels: int | None
    sample_rate: int | None
    duration_seconds: float | None


def read_header(path: Path) -> AudioHeader | None:
    """Read a file's header, or return None when it is of no kind that is known here or makes no sense."""
    from tinytag import TinyTag  # noqa: PLC0415 - only preflight of an input needs it

    try:
        tag = TinyTag.get(path, tags=False)
    except Exception as error:  # noqa: BLE001 - a hostile header may trip the parser anywhere; that is no error of ours
        _log.debug("no header in %s: %r", path, error)
        return None
    return AudioHeader(
        channels=tag.channels or None,
        sample_rate=tag.samplerate or None,
        duration_seconds=tag.duration or None,
    )
