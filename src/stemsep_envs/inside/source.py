"""What the model reads: a range of the input, free of non-finite samples, at the model's rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional

import numpy as np

from .audio_reading import Reader
from .failures import RequestError
from .resampling import Resampler, resampled_frames

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

_BLOCK_FRAMES = 1 << 15


class Range(NamedTuple):
    """Part of a file, in its own frames; `frames` is None for all that follows."""

    start_frame: int
    frames: Optional[int]


def choose_range(reader: Reader, start_seconds: Optional[float], duration_seconds: Optional[float]) -> Range:
    """The range asked for, cut to the file where its length is known. Fails with `input_empty`, `range_empty`."""
    if reader.frames == 0:
        raise RequestError("input_empty", "the input has no samples")
    start = round((start_seconds or 0.0) * reader.sample_rate)
    frames = None if duration_seconds is None else round(duration_seconds * reader.sample_rate)
    if reader.frames is not None:
        after = reader.frames - start
        frames = after if frames is None else min(frames, after)
    if frames is not None and frames <= 0:
        raise _range_is_empty(reader)
    return Range(start, frames)


def _range_is_empty(reader: Reader) -> RequestError:
    hint = None
    if reader.frames is not None:
        hint = f"The input lasts {reader.frames / reader.sample_rate:.3f} seconds."
    return RequestError("range_empty", "no samples in the range that was asked for", hint)


class Source:
    """The `source` of the adapter interface, and what was noticed about the input on the way."""

    def __init__(
        self, reader: Reader, wanted: Range, sample_rate: Optional[int], check_cancelled: Callable[[], None]
    ) -> None:
        self.sample_rate = sample_rate or reader.sample_rate
        self.channels = reader.channels
        self.input_frames = 0
        self.nonfinite_samples = 0
        self.peak = 0.0
        self.decode_seconds = 0.0
        self._reader = reader
        self._wanted = wanted
        self._resampler = Resampler(reader.sample_rate, self.sample_rate, reader.channels)
        self._check_cancelled = check_cancelled
        self._ready: List[Audio] = []
        self._ready_frames = 0
        self._ended = False
        self._given = 0

    @property
    def frames(self) -> Optional[int]:
        """How many frames `read` gives in all; None while unknown."""
        if self._ended:
            return self._given + self._ready_frames
        if self._wanted.frames is None or self._reader.frames is None:
            return None
        return resampled_frames(self._wanted.frames, self._reader.sample_rate, self.sample_rate)

    def read(self, frames: int) -> Audio:
        """The next `frames` frames (frames, channels), fewer only at the end."""
        started = time.perf_counter()
        while self._ready_frames < frames and not self._ended:
            self._check_cancelled()
            self._advance()
        taken = self._take(min(frames, self._ready_frames))
        self.decode_seconds += time.perf_counter() - started
        return taken

    def read_all(self) -> Audio:
        """All frames that are left."""
        blocks = [self._take(self._ready_frames)]
        while True:
            block = self.read(_BLOCK_FRAMES)
            if not len(block):
                return np.concatenate(blocks)
            blocks.append(block)

    def drain(self) -> None:
        """Read what the model left."""
        while len(self.read(_BLOCK_FRAMES)):
            pass

    def _advance(self) -> None:
        """Decode one block of the range and make it ready."""
        if not self.input_frames:
            self._reader.skip_to(self._wanted.start_frame)
        count = _BLOCK_FRAMES
        if self._wanted.frames is not None:
            count = min(count, self._wanted.frames - self.input_frames)
        block = self._reader.read(count) if count else np.zeros((0, self.channels), np.float32)
        if len(block):
            self.input_frames += len(block)
            self._keep(self._resampler.process(self._inspect(block)))
            return
        self._ended = True
        if not self.input_frames:
            raise self._nothing_read()
        self._keep(self._resampler.finish())

    def _nothing_read(self) -> RequestError:
        if self._wanted.start_frame and self._reader.truncated:
            return RequestError("range_empty", "the input is cut short before the range that was asked for")
        if self._wanted.start_frame:
            return _range_is_empty(self._reader)
        if self._reader.truncated:
            return RequestError("input_unreadable", "the input is damaged: nothing in it can be decoded")
        return RequestError("input_empty", "the input has no samples")

    def _inspect(self, block: Audio) -> Audio:
        finite = np.isfinite(block)
        if not finite.all():
            self.nonfinite_samples += int(block.size - np.count_nonzero(finite))
            block = np.where(finite, block, np.float32(0.0))
        self.peak = max(self.peak, float(np.abs(block).max()))
        return block

    def _keep(self, block: Audio) -> None:
        if len(block):
            self._ready.append(block)
            self._ready_frames += len(block)

    def _take(self, frames: int) -> Audio:
        taken: List[Audio] = []
        missing = frames
        while missing:
            block = self._ready[0]
            taken.append(block[:missing])
            if len(block) > missing:
                self._ready[0] = block[missing:]
            else:
                self._ready.pop(0)
            missing -= len(taken[-1])
        self._ready_frames -= frames
        self._given += frames
        if len(taken) == 1:
            return taken[0]
        return np.concatenate([np.zeros((0, self.channels), np.float32), *taken])
