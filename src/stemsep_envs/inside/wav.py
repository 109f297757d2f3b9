"""WAV files: 32-bit float, 16- and 24-bit PCM; RF64 where 32-bit sizes do not suffice (EBU Tech 3306).

Written here and not by libsndfile, whose float files carry a time stamp: the same samples give the same bytes. The
header reserves a JUNK chunk of the size of RF64's `ds64`, so that a file which turns out large becomes RF64 in place.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from .output_files import OutputFile

if TYPE_CHECKING:
    import numpy.typing as npt

_PCM, _IEEE_FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BITS = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}
_DS64_BYTES = 28
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
MAX_RIFF_BYTES = 0xFFFFFFFF


class WavWriter:
    """Writes one WAV file. `subtype` is FLOAT, PCM_16 or PCM_24; `max_riff_bytes` is where RF64 begins."""

    def __init__(
        self, file: OutputFile, sample_rate: int, channels: int, subtype: str, max_riff_bytes: int = MAX_RIFF_BYTES
    ) -> None:
        self._file = file
        self._sample_rate = sample_rate
        self._channels = channels
        self._subtype = subtype
        self._frame_bytes = channels * _BITS[subtype] // 8
        self._max_riff_bytes = max_riff_bytes
        self._frames = 0
        file.write(self._header())

    def write(self, block: npt.NDArray[np.generic]) -> None:
        """Append a block (frames, channels): float32 for FLOAT, otherwise int32 values of that many bits."""
        if self._subtype == "FLOAT":
            data = np.ascontiguousarray(block, "<f4")
        elif self._subtype == "PCM_16":
            data = np.ascontiguousarray(block, "<i2")
        else:
            # The low three of each little-endian four bytes.
            data = np.ascontiguousarray(np.ascontiguousarray(block, "<i4").view(np.uint8).reshape(-1, 4)[:, :3])
        self._frames += len(block)
        self._file.write(data.data)

    def close(self) -> None:
        """Put the sizes into the header."""
        if self._frames * self._frame_bytes % 2:
            self._file.write(b"\0")
        self._file.seek(0)
        self._file.write(self._header())

    def _header(self) -> bytes:
        data_bytes = self._frames * self._frame_bytes
        fmt = self._format_chunk()
        # Wherever the format is not plain PCM.
        fact_bytes = 12 if self._subtype == "FLOAT" or self._channels > 2 else 0
        riff_bytes = 4 + 8 + _DS64_BYTES + len(fmt) + fact_bytes + 8 + data_bytes + data_bytes % 2
        large = riff_bytes > self._max_riff_bytes
        unknown = 0xFFFFFFFF
        if large:
            sizes = struct.pack("<4sIQQQI", b"ds64", _DS64_BYTES, riff_bytes, data_bytes, self._frames, 0)
        else:
            sizes = struct.pack("<4sI28x", b"JUNK", _DS64_BYTES)
        return b"".join(
            (
                struct.pack("<4sI4s", b"RF64" if large else b"RIFF", unknown if large else riff_bytes, b"WAVE"),
                sizes,
                fmt,
                struct.pack("<4sII", b"fact", 4, min(self._frames, unknown)) if fact_bytes else b"",
                struct.pack("<4sI", b"data", unknown if large else data_bytes),
            )
        )

    def _format_chunk(self) -> bytes:
        bits = _BITS[self._subtype]
        tag = _IEEE_FLOAT if self._subtype == "FLOAT" else _PCM
        rates = (self._sample_rate, self._sample_rate * self._frame_bytes, self._frame_bytes, bits)
        if self._channels <= 2:
            return struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, self._channels, *rates)
        # More channels need the extensible form; no speaker positions are claimed for them.
        fixed = struct.pack("<4sIHHIIHH", b"fmt ", 40, _EXTENSIBLE, self._channels, *rates)
        return fixed + struct.pack("<HHIH14s", 22, bits, 0, tag, _GUID_TAIL)
