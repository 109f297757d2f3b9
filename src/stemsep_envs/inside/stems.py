"""Where the model's stems go: to the output's rate, measured, and into files with one gain for all of them.

A gain that fits every stem is known only when all have been written. Where one may be needed, stems wait in scratch
files of float32 beside the outputs, and are encoded in a second pass; otherwise they are encoded as they come. Memory
does not depend on their length either way.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from .adapters import Context
from .audio_encoding import Encoder, Encoding, open_encoder
from .failures import RequestError
from .gain import common_gain
from .output_files import OutputFile, PartialFiles
from .resampling import Resampler

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

_BLOCK_FRAMES = 1 << 15


class Layout(NamedTuple):
    """What all stems of a track have in common. Rates in hertz; `model_rate` is that of the blocks written."""

    dir: str
    encoding: Encoding
    model_rate: int
    sample_rate: int
    channels: int
    normalize: bool

    @property
    def needs_gain(self) -> bool:
        """Whether a gain may have to be found before the first sample is encoded."""
        return self.normalize or self.encoding.highest is not None


class Stem:
    """The sink of one stem, as the adapter interface has it."""

    def __init__(self, name: str, file_name: str, layout: Layout, files: PartialFiles) -> None:
        self.name = name
        self.file_name = file_name
        self.low = 0.0
        self.high = 0.0
        self.model_frames = 0
        self.frames = 0
        self.encode_seconds = 0.0
        self._layout = layout
        self._files = files
        self._resampler = Resampler(layout.model_rate, layout.sample_rate, layout.channels)
        self._scratch: Optional[OutputFile] = None
        self._encoder: Optional[Encoder] = None
        if layout.needs_gain:
            self._scratch = files.create(os.path.join(layout.dir, file_name + ".scratch"))
        else:
            self._encoder = self._open()

    @property
    def peak(self) -> float:
        """The largest absolute sample so far, before any gain."""
        return max(self.high, -self.low)

    def write(self, block: Any) -> None:
        """Take the next block (frames, channels) of the model's output; float32 or what converts to it."""
        started = time.perf_counter()
        audio = np.ascontiguousarray(block, np.float32)
        if audio.ndim != 2 or audio.shape[1] != self._layout.channels:
            message = f"the stem {self.name!r} has shape {audio.shape}, not (frames, {self._layout.channels})"
            raise RequestError("model_failed", message)
        if not np.isfinite(audio).all():
            message = f"the model made samples of the stem {self.name!r} that are not finite"
            hint = "Half precision overflows in some models: try full precision."
            raise RequestError("model_failed", message, hint)
        self.model_frames += len(audio)
        self._accept(self._resampler.process(audio))
        self.encode_seconds += time.perf_counter() - started

    def finish(self, model_frames: int, frames: int) -> None:
        """The model is done: `model_frames` must have been written; the stem gets exactly `frames`."""
        if self.model_frames != model_frames:
            message = f"the model wrote {self.model_frames} frames of the stem {self.name!r} for {model_frames} it read"
            raise RequestError("model_failed", message)
        self._accept(self._resampler.finish(frames))
        if self._encoder is not None:
            self._encoder.close()

    def encode(self, gain: float, done_frames: int, total_frames: int, context: Context) -> None:
        """The second pass: from the scratch file, times `gain`. For progress, frames of all stems are counted."""
        if self._scratch is None:
            return
        encoder = self._open()
        self._scratch.seek(0)
        frame_bytes = 4 * self._layout.channels
        while True:
            context.check_cancelled()
            data = self._scratch.read(_BLOCK_FRAMES * frame_bytes)
            if not data:
                break
            block = np.frombuffer(data, np.float32).reshape(-1, self._layout.channels)
            encoder.write(block if gain == 1.0 else block * np.float32(gain))
            done_frames += len(block)
            context.progress(done_frames, total_frames)
        encoder.close()
        self._files.remove(self._scratch)

    def _open(self) -> Encoder:
        layout = self._layout
        file = self._files.create(os.path.join(layout.dir, self.file_name))
        return open_encoder(layout.encoding, file, layout.sample_rate, layout.channels)

    def _accept(self, audio: Audio) -> None:
        if not len(audio):
            return
        self.low = min(self.low, float(audio.min()))
        self.high = max(self.high, float(audio.max()))
        self.frames += len(audio)
        if self._scratch is not None:
            self._scratch.write(audio.data)
        elif self._encoder is not None:
            self._encoder.write(audio)


def encode_all(stems: List[Stem], layout: Layout, context: Context) -> Tuple[float, Optional[str]]:
    """Bring every stem into its file; returns the gain and its reason."""
    low, high = min(stem.low for stem in stems), max(stem.high for stem in stems)
    gain, reason = common_gain(low, high, layout.encoding.highest, layout.normalize)
    total_frames = sum(stem.frames for stem in stems)
    done_frames = 0
    for stem in stems:
        stem.encode(gain, done_frames, total_frames, context)
        done_frames += stem.frames
    context.finish(total_frames)
    return gain, reason


def describe(stem: Stem, layout: Layout) -> Dict[str, Any]:
    """A stem's entry in the reply."""
    return {
        "stem": stem.name,
        "file": stem.file_name,
        "frames": stem.frames,
        "sample_rate": layout.sample_rate,
        "channels": layout.channels,
        "peak": stem.peak,
        "subtype": layout.encoding.subtype,
    }
