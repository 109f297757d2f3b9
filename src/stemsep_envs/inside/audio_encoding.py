"""Audio formats that stems can be written in, and an encoder for each.

Lossy formats are written at their highest useful rate, for stems are material to work with: MP3 at a constant
320 kbit/s, Opus at about 370 kbit/s in stereo, AAC at 160 kbit/s a channel. The caller sees to it that samples are
within `Encoding.highest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Tuple

import numpy as np

from .failures import RequestError
from .output_files import CallbackFile, OutputFile
from .quantizing import Quantizer, highest
from .wav import WavWriter

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]


_BITS = {"PCM_16": 16, "PCM_24": 24}
_BLOCK_FRAMES = 1 << 14


class Format(NamedTuple):
    """What a file format can hold, and what writes it.

    Attributes:
        subtypes: How samples are kept, by bit depth; None is the default.
        is_available: Whether it can be written here.
        open: Makes its encoder, of an encoding, a file, a sample rate and a number of channels.
        options: What libsndfile is told, where it writes.
        rates: The sample rates it has; any where none is listed.
        max_channels: The most channels.
    """

    subtypes: Dict[Optional[str], str]
    is_available: Callable[[], bool]
    open: Callable[[Encoding, OutputFile, int, int], Encoder]
    options: Dict[str, Any] = {}  # noqa: RUF012 - never changed
    rates: Tuple[int, ...] = ()
    max_channels: int = 256


class Encoding(NamedTuple):
    """A format with its subtype: what a stem becomes."""

    format: str
    subtype: str

    @property
    def highest(self) -> Optional[float]:
        """The largest positive sample that it can hold; None for float, which holds any."""
        if self.subtype == "FLOAT":
            return None
        return highest(_BITS[self.subtype]) if self.subtype in _BITS else 1.0

    def rate_for(self, sample_rate: int) -> int:
        """`sample_rate` if the format has it, otherwise 48000, which all have."""
        rates = FORMATS[self.format].rates
        return sample_rate if not rates or sample_rate in rates else 48000


class Encoder(Protocol):
    """Writes one file."""

    def write(self, block: Audio) -> None:
        """Append a block (frames, channels)."""

    def close(self) -> None:
        """Finish the file's content; the file itself stays open."""


def available() -> List[str]:
    """The formats that can be written here."""
    return [name for name, written in FORMATS.items() if written.is_available()]


def choose(format_name: str, bit_depth: Optional[str], channels: int) -> Encoding:
    """The encoding asked for. Fails with `unsupported_format`."""
    if format_name not in available():
        hint = "The environment of this model lacks the encoder: choose another format."
        raise RequestError("unsupported_format", f"{format_name} cannot be written here", hint)
    chosen = FORMATS[format_name]
    if bit_depth not in chosen.subtypes:
        depths = [depth for depth in chosen.subtypes if depth]
        hint = "It has {}.".format(" and ".join(depths)) if depths else "It has none to choose: leave it out."
        raise RequestError("unsupported_format", f"{format_name} has no bit depth {bit_depth}", hint)
    if channels > chosen.max_channels:
        hint = "Choose wav."
        raise RequestError("unsupported_format", f"{format_name} cannot hold {channels} channels here", hint)
    return Encoding(format_name, chosen.subtypes[bit_depth])


def open_encoder(encoding: Encoding, file: OutputFile, sample_rate: int, channels: int) -> Encoder:
    """An encoder that writes to `file`."""
    return FORMATS[encoding.format].open(encoding, file, sample_rate, channels)


class _Wav:
    def __init__(self, encoding: Encoding, file: OutputFile, sample_rate: int, channels: int) -> None:
        self._writer = WavWriter(file, sample_rate, channels, encoding.subtype)
        self._quantize = Quantizer(_BITS[encoding.subtype]) if encoding.subtype in _BITS else None

    def write(self, block: Audio) -> None:
        self._writer.write(block if self._quantize is None else self._quantize(block))

    def close(self) -> None:
        self._writer.close()


class _Libsndfile:
    """FLAC, MP3 and Opus."""

    def __init__(self, encoding: Encoding, file: OutputFile, sample_rate: int, channels: int) -> None:
        import soundfile

        self._callback = CallbackFile(file)
        self._bits = _BITS.get(encoding.subtype)
        # Whole numbers are made here: libsndfile's own conversion lowers the level by one step in full scale.
        self._quantize = Quantizer(self._bits) if self._bits else None
        self._path = file.path
        try:
            options = FORMATS[encoding.format].options
            self._sound = soundfile.SoundFile(self._callback, "w", sample_rate, channels, encoding.subtype, **options)
        except soundfile.LibsndfileError as error:
            message = f"{encoding.format} cannot be written at {sample_rate} Hz: {error}"
            raise RequestError("unsupported_format", message) from error

    def write(self, block: Audio) -> None:
        # The codecs of libsndfile keep whole blocks on the stack.
        for start in range(0, len(block), _BLOCK_FRAMES):
            part: Any = block[start : start + _BLOCK_FRAMES]
            if self._quantize is not None and self._bits is not None:
                part = self._quantize(part) << (32 - self._bits)
            self._sound.write(part)
            self._callback.check()

    def close(self) -> None:
        self._sound.close()
        self._callback.check()


class _Aac:
    """AAC in MP4 (m4a), by FFmpeg."""

    def __init__(self, _: Encoding, file: OutputFile, sample_rate: int, channels: int) -> None:
        import av

        self._av = av
        self._callback = CallbackFile(file)
        self._sample_rate = sample_rate
        self._layout = "mono" if channels == 1 else "stereo"
        self._frames = 0
        # The movie's clock counts in milliseconds by default: too coarse for a length in samples.
        options = {"movie_timescale": str(sample_rate)}
        self._container = av.open(self._callback, "w", format="ipod", options=options)
        self._stream = self._container.add_stream("aac", rate=sample_rate, layout=self._layout)
        self._stream.bit_rate = 160_000 * channels

    def write(self, block: Audio) -> None:
        from fractions import Fraction

        for start in range(0, len(block), _BLOCK_FRAMES):
            part = np.ascontiguousarray(block[start : start + _BLOCK_FRAMES].T)
            frame = self._av.AudioFrame.from_ndarray(part, format="fltp", layout=self._layout)
            frame.sample_rate = self._sample_rate
            frame.time_base = Fraction(1, self._sample_rate)
            frame.pts = self._frames
            self._frames += part.shape[1]
            self._container.mux(self._stream.encode(frame))
            self._callback.check()

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._callback.check()


def _libsndfile_has(container: str, subtype: str) -> bool:
    import soundfile

    return container in soundfile.available_formats() and subtype in soundfile.available_subtypes(container)


def _has_ffmpeg() -> bool:
    import importlib.util

    return importlib.util.find_spec("av") is not None


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

FORMATS: Dict[str, Format] = {
    "wav": Format(
        subtypes={None: "FLOAT", "32f": "FLOAT", "24": "PCM_24", "16": "PCM_16"},
        is_available=lambda: True,
        open=_Wav,
    ),
    "flac": Format(
        subtypes={None: "PCM_24", "24": "PCM_24", "16": "PCM_16"},
        is_available=lambda: _libsndfile_has("FLAC", "PCM_24"),
        open=_Libsndfile,
        options={"format": "FLAC"},
        max_channels=8,
    ),
    "mp3": Format(
        subtypes={None: "MPEG_LAYER_III"},
        is_available=lambda: _libsndfile_has("MP3", "MPEG_LAYER_III"),
        open=_Libsndfile,
        options={"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.0},
        rates=_MPEG_RATES,
        max_channels=2,
    ),
    "opus": Format(
        subtypes={None: "OPUS"},
        is_available=lambda: _libsndfile_has("OGG", "OPUS"),
        open=_Libsndfile,
        options={"format": "OGG", "compression_level": 0.3},
        rates=(8000, 12000, 16000, 24000, 48000),
        max_channels=2,
    ),
    "m4a": Format(
        subtypes={None: "AAC"},
        is_available=_has_ffmpeg,
        open=_Aac,
        rates=(*_MPEG_RATES, 64000, 88200, 96000),
        max_channels=2,
    ),
}
"""What stems can be written in. The host has a table of its own (`documents.audio`): a new format is a row in both."""
