"""Audio files as blocks of float32, read by libsndfile, or by FFmpeg what libsndfile cannot read.

A file cut short is read as far as it goes, and says so: `promised_frames` is what its header claims where that is more
than there is, `truncated` whether something is missing.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, List, Optional, Protocol

import numpy as np

from .failures import RequestError

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]


# A damaged header can claim any rate, and with it windows and filters of any size. DSD runs at 2.8 to 5.6 MHz.
MAX_SAMPLE_RATE = 10_000_000


class Reader(Protocol):
    """An open audio file. `frames` is None while unknown; `position` counts frames from its beginning."""

    sample_rate: int
    channels: int
    frames: Optional[int]
    container: str
    subtype: str
    truncated: bool
    promised_frames: Optional[int]
    position: int

    def skip_to(self, frame: int) -> None:
        """Go forward to `frame`, or to the end if that comes first."""

    def read(self, frames: int) -> Audio:
        """The next `frames` frames (frames, channels), fewer only at the end."""

    def close(self) -> None:
        """Close the file."""


def open_audio(path: str) -> Reader:
    """Open `path`. Fails with `input_missing`, `input_empty` or `input_unreadable`."""
    _check_is_file(path)
    reader: Reader
    try:
        reader = LibsndfileReader(path)
    except RequestError as failure:
        from .audio_decoding import open_with_ffmpeg

        reader = open_with_ffmpeg(path, failure)
    if not 1 <= reader.sample_rate <= MAX_SAMPLE_RATE:
        reader.close()
        raise RequestError("input_unreadable", f"{path} claims a sample rate of {reader.sample_rate} Hz")
    return reader


def formats() -> List[str]:
    """File name extensions of what can be read here."""
    import importlib.util

    import soundfile

    known = soundfile.available_formats()
    found = [name.lower() for name in ("WAV", "FLAC", "MP3", "OGG", "AIFF", "W64", "CAF", "AU") if name in known]
    if "OGG" in known and "OPUS" in soundfile.available_subtypes("OGG"):
        found.append("opus")
    if importlib.util.find_spec("av") is not None:
        found += ["m4a", "aac", "mp4", "mkv", "webm", "mov", "wma"]
    return found


def _check_is_file(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise RequestError("input_missing", f"there is no file {path}") from None
    except OSError as error:
        raise RequestError("input_unreadable", f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise RequestError("input_unreadable", f"{path} is not a file")
    if not status.st_size:
        raise RequestError("input_empty", f"{path} has no bytes")


class LibsndfileReader:
    """WAV, FLAC, MP3, Ogg, Opus, AIFF and the like."""

    def __init__(self, path: str) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        try:
            # Bytes: a path need not be text, and soundfile would encode it strictly.
            self._file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
        except (self._error, TypeError) as error:
            # TypeError: headerless formats, which soundfile knows by the file's name and wants to be told about.
            raise RequestError("input_unreadable", f"cannot read {path}: {error}") from error
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: Optional[int] = self._file.frames
        self.container: str = self._file.format
        self.subtype: str = self._file.subtype
        self.position = 0
        self.promised_frames = _promised_frames(self._file.extra_info, self._file.frames)
        self.truncated = self.promised_frames is not None or (self.container == "OGG" and not _has_ogg_end(path))
        self._ended = False

    def skip_to(self, frame: int) -> None:
        """Go to `frame`: libsndfile seeks to the sample in every format that it reads."""
        if self.position < frame:
            target = min(frame, self.frames or frame)
            try:
                self.position = self._file.seek(target)
            except self._error:
                # A file cut short cannot be sought in beyond its end, nor a damaged one at times: read up to there.
                while self.position < target and len(self.read(min(1 << 16, target - self.position))):
                    pass

    def read(self, frames: int) -> Audio:
        """The next frames; at damage, what was decoded before it, and then the file ends."""
        block = np.empty((frames, self.channels), np.float32)
        if self._ended:
            return block[:0]
        try:
            # A failing read does not say how far it came: what it did not reach is recognised by this mark.
            block.fill(np.nan)
            count = len(self._file.read(out=block, dtype="float32"))
        except self._error:
            count = _frames_reached(block)
        if count < frames:
            self._ended = True
            if self.frames is not None and self.position + count < self.frames:
                self.truncated = True
                self.promised_frames = self.promised_frames or self.frames
        self.position += count
        return block[:count]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _frames_reached(block: Audio) -> int:
    reached = np.flatnonzero(~np.isnan(block).all(axis=1))
    return int(reached[-1]) + 1 if len(reached) else 0


def _promised_frames(parse_log: str, frames: int) -> Optional[int]:
    """How many frames a WAV, W64 or AIFF header claims, if more than the file has.

    libsndfile corrects such a header silently and notes it in its log: `data : 529200 (should be 317502)`.
    """
    found = re.search(r"^\s*(data|SSND) : (\d+) \(should be (\d+)\)", parse_log, re.MULTILINE)
    if not found or not frames:
        return None
    # AIFF counts eight bytes of its own to the samples.
    overhead = 8 if found.group(1) == "SSND" else 0
    claimed, actual = (int(found.group(group)) - overhead for group in (2, 3))
    # Programs that write to a pipe cannot go back to fill in the size, and leave the largest one: no promise.
    if claimed <= actual or claimed >= 0x7FFFF000:
        return None
    # Less than a byte a frame is ADPCM, where only the proportion is known.
    frame_bytes = actual // frames
    return claimed // frame_bytes if frame_bytes else round(frames * claimed / actual)


def _has_ogg_end(path: str) -> bool:
    """Whether the last page of an Ogg file is marked as the end of its stream (RFC 3533, 6)."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - (1 << 16)))
        tail = file.read()
    page = tail.rfind(b"OggS\0")
    return page < 0 or page + 5 >= len(tail) or bool(tail[page + 5] & 4)
