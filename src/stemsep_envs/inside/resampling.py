"""Sample rate conversion of a stream of blocks, with lengths exact to the frame.

The conversion is soxr's at its "very high quality": linear phase, delay compensated, the same at any block size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from .failures import RequestError

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]


def resampled_frames(frames: int, from_rate: int, to_rate: int) -> int:
    """How many frames `frames` become: the same duration, to the nearest frame. Exact for any length."""
    return (2 * frames * to_rate + from_rate) // (2 * from_rate)


class Resampler:
    """Converts blocks (frames, channels) from one rate to another. Fails with `unsupported_setting` without soxr."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._from_rate = from_rate
        self._to_rate = to_rate
        self._channels = channels
        self._taken = 0
        self._given = 0
        self._stream: Any = None
        if from_rate == to_rate:
            return
        try:
            import soxr
        except ImportError:
            hint = "The environment of this model has no resampler: give it audio at the rate it works at."
            message = f"cannot convert {from_rate} Hz to {to_rate} Hz here"
            raise RequestError("unsupported_setting", message, hint) from None
        self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="VHQ")

    def process(self, block: Audio) -> Audio:
        """What can be given after `block`."""
        self._taken += len(block)
        given: Audio = block if self._stream is None else self._stream.resample_chunk(block)
        self._given += len(given)
        return given

    def finish(self, total_frames: Optional[int] = None) -> Audio:
        """The rest, so that `total_frames` were given in all (default: the input's duration)."""
        if total_frames is None:
            total_frames = resampled_frames(self._taken, self._from_rate, self._to_rate)
        # What is missing, in silence; soxr's rest goes over it. Its rounding, and that of a way there and back, may be
        # a frame off.
        rest = np.zeros((max(0, total_frames - self._given), self._channels), np.float32)
        if self._stream is not None and self._taken:
            last = self._stream.resample_chunk(np.zeros((0, self._channels), np.float32), last=True)
            rest[: len(last)] = last[: len(rest)]
        self._given += len(rest)
        return rest
