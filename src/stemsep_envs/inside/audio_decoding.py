"""What libsndfile cannot read, by FFmpeg through PyAV: AAC, ALAC, WMA, and the first audio track of a video."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Iterator, List, Optional

import numpy as np

from .failures import RequestError

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]

# Only these say how long a track is to the sample; elsewhere a duration is a rough value.
_EXACT_CONTAINERS = ("mov", "mp4", "m4a")


def open_with_ffmpeg(path: str, first: RequestError) -> FfmpegReader:
    """Open `path`, which libsndfile refused with `first`. Fails with `input_unreadable`."""
    try:
        import av
    except ImportError:
        hint = "This environment reads with libsndfile only: convert the file to wav or flac."
        raise RequestError(first.kind, first.message, hint) from None
    try:
        container = av.open(path if os.name == "nt" else os.fsencode(path).decode("utf-8", "surrogateescape"))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        message = f"{path} is not audio that can be read here: libsndfile and FFmpeg both refuse it"
        raise RequestError("input_unreadable", message, f"FFmpeg says: {words}.") from error
    # FFmpeg goes by the name at times, and opens what it then knows nothing about.
    if not any(stream.rate and stream.codec_context.channels for stream in container.streams.audio[:1]):
        container.close()
        raise RequestError("input_unreadable", f"{path} has no audio track; {first.message}")
    return FfmpegReader(av, container)


class FfmpegReader:
    """The first audio stream of a container, decoded from its beginning."""

    def __init__(self, av: Any, container: Any) -> None:
        self._container = container
        stream = container.streams.audio[0]
        self.sample_rate: int = stream.rate
        self.channels: int = stream.codec_context.channels
        self.container: str = container.format.name
        self.subtype: str = stream.codec_context.name
        self.frames: Optional[int] = None
        names = self.container.split(",")
        if stream.duration is not None and any(name in names for name in _EXACT_CONTAINERS):
            self.frames = round(stream.duration * stream.time_base * self.sample_rate)
        self.position = 0
        self.truncated = False
        self.promised_frames: Optional[int] = None
        self._error = av.error.FFmpegError
        self._resampler = av.AudioResampler(format="fltp", layout=stream.codec_context.layout, rate=self.sample_rate)
        self._blocks = self._decode(stream)
        self._rest = np.zeros((0, self.channels), np.float32)

    def skip_to(self, frame: int) -> None:
        """Go to `frame` by decoding up to there: seeking is to the packet at best, and decoding is fast."""
        while self.position < frame and len(self.read(min(1 << 16, frame - self.position))):
            pass

    def read(self, frames: int) -> Audio:
        """The next frames; at damage, what was decoded before it, and then the file ends."""
        if self.frames is not None:
            # The last packet of AAC is filled up; the container knows where the track ends.
            frames = min(frames, self.frames - self.position)
        taken: List[Audio] = [self._rest[:0]]
        missing = frames
        while missing > 0:
            if not len(self._rest):
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = block
            taken.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(taken[-1])
        if missing and self.frames is not None:
            self.truncated = True
            self.promised_frames = self.frames
        audio = np.concatenate(taken)
        self.position += len(audio)
        return audio

    def close(self) -> None:
        """Close the container."""
        self._container.close()

    def _decode(self, stream: Any) -> Iterator[Audio]:
        try:
            for frame in self._container.decode(stream):
                # Time stamps with gaps would make the resampler stretch the audio.
                frame.pts = None
                yield from self._converted(frame)
            yield from self._converted(None)
        except self._error:
            self.truncated = True

    def _converted(self, frame: Any) -> Iterator[Audio]:
        for converted in self._resampler.resample(frame):
            yield np.ascontiguousarray(converted.to_ndarray().T)
