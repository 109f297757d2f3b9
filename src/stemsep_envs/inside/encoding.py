"""Audio formats that stems can be written in, and an encoder for each.

Lossy formats are written at their highest useful rate, for stems are material to work with: MP3 at a constant
320 kbit/s, Opus at about 370 kbit/s in stereo, AAC at 160 kbit/s a channel. The caller sees to it that samples are
within `Encoding.highest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Protocol, Tuple

import numpy as np

from .failures import RequestError
from .files import CallbackFile, OutputFile
from .quantizing import Quantizer, highest
from .wav import WavWriter

if TYPE_CHECKING:
    import numpy.typing as npt

    Audio = npt.NDArray[np.float32]


class _Format(NamedTuple):
    """What a file format can hold. No rates listed: any."""

    subtypes: Dict[Optional[str], str]  # by bit depth; None is the default
    rates: Tuple[int, ...] = ()
    max_channels: int = 256


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_FORMATS = {
    "wav": _Format({None: "FLOAT", "32f": "FLOAT", "24": "PCM_24", "16": "PCM_16"}),
    "flac": _Format({None: "PCM_24", "24": "PCM_24", "16": "PCM_16"}, max_channels=8),
    "mp3": _Format({None: "MPEG_LAYER_III"}, rates=_MPEG_RATES, max_channels=2),
    "opus": _Format({None: "OPUS"}, rates=(8000, 12000, 16000, 24000, 48000), max_channels=2),
    "m4a": _Format({None: "AAC"}, rates=(*_MPEG_RATES, 64000, 88200, 96000), max_channels=2),
}
_BITS = {"PCM_16": 16, "PCM_24": 24}
# How libsndfile is told the bit rates above.
_LIBSNDFILE_OPTIONS: Dict[str, Dict[str, Any]] = {
    "flac": {"format": "FLAC"},
    "mp3": {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.0},
    "opus": {"format": "OGG", "compression_level": 0.3},
}
_BLOCK_FRAMES = 1 << 14


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
        rates = _FORMATS[self.format].rates
        return sample_rate if not rates or sample_rate in rates else 48000


class Encoder(Protocol):
    """Writes one file."""

    def write(self, block: Audio) -> None:
        """Append a block (frames, channels)."""

    def close(self) -> None:
        """Finish the file's content; the file itself stays open."""


def available() -> List[str]:
    """The formats that can be written here."""
    import importlib.util

    import soundfile

    known = soundfile.available_formats()
    formats = ["wav"]
    formats += [name for name, container in (("flac", "FLAC"), ("mp3", "MP3")) if container in known]
    if "OGG" in known and "OPUS" in soundfile.available_subtypes("OGG"):
        formats.append("opus")
    if importlib.util.find_spec("av") is not None:
        formats.append("m4a")
    return formats


def choose(format_name: str, bit_depth: Optional[str], channels: int) -> Encoding:
    """The encoding asked for. Fails with `unsupported_format`."""
    if format_name not in available():
        hint = "The environment of this model lacks the encoder: choose another format."
        raise RequestError("unsupported_format", f"{format_name} cannot be written here", hint)
    chosen = _FORMATS[format_name]
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
    if encoding.format == "wav":
        return _Wav(encoding, file, sample_rate, channels)
    if encoding.format == "m4a":
        return _Aac(file, sample_rate, channels)
    return _Libsndfile(encoding, file, sample_rate, channels)


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
            options = _LIBSNDFILE_OPTIONS[encoding.format]
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

    def __init__(self, file: OutputFile, sample_rate: int, channels: int) -> None:
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
