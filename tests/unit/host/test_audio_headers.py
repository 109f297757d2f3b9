"""Headers of audio files, honest ones and those that lie."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stemsep_envs.host import audio_headers
from stemsep_envs.host.audio_headers import AudioHeader, read_header
from stemsep_envs.separation.output_limits import track_limits


def aiff(path: Path, rate: bytes, *, channels: int = 2, frames: int = 0xFFFFFFFF) -> Path:
    common = struct.pack(">HIH", channels, frames, 16) + rate
    path.write_bytes(b"FORM\0\0\1\0AIFFCOMM" + struct.pack(">I", len(common)) + common)
    return path


def wav(path: Path, channels: int, rate: int, byte_rate: int) -> Path:
    facts = struct.pack("<HHIIHH", 1, channels, rate, byte_rate, 4, 16)
    path.write_bytes(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + facts + b"data" + struct.pack("<I", 0xFFFFFFFF))
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "mp3"])
def test_what_honest_files_say(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    soundfile.write(path, np.zeros((44_100 * 3, 2)), 44_100)
    header = read_header(path)
    assert header is not None
    assert (header.channels, header.sample_rate) == (2, 44_100)
    assert header.duration_seconds == pytest.approx(3, abs=0.1)


RATES = {
    "more than a float holds": b"\x43\xfe" + b"\xff" * 8,
    "more than any": b"\x40\x3e\x80" + bytes(7),
    "none": bytes(10),
    "negative": b"\xc0\x0e\xac\x44" + bytes(6),
    "no number": b"\x7f\xff\xc0" + bytes(7),
    "next to none": b"\x3c\x00\x80" + bytes(7),
}


@pytest.mark.parametrize("which", sorted(RATES))
def test_impossible_rates_say_nothing_and_break_nothing(tmp_path: Path, which: str) -> None:
    path = aiff(tmp_path / "song.aiff", RATES[which])
    header = read_header(path)
    assert header is None or header.sample_rate is None
    assert track_limits(path, stems=4, sample_rate=None, folder=tmp_path).output_bytes > 0


def test_a_rate_that_is_possible_is_taken(tmp_path: Path) -> None:
    header = read_header(aiff(tmp_path / "song.aiff", b"\x40\x0e\xac\x44" + bytes(6), frames=44_100))
    assert header == AudioHeader(channels=2, sample_rate=44_100, duration_seconds=1.0)


@pytest.mark.parametrize(("value", "most"), [(10**400, 1e9), (float("nan"), 1e9), (float("inf"), 1e9), (0, 5), (6, 5)])
def test_no_number_is_plausible_that_cannot_be_counted_with(value: Any, most: float) -> None:
    assert not audio_headers._is_plausible(value, most)


def test_so_many_channels_and_so_high_a_rate_say_nothing(tmp_path: Path) -> None:
    header = read_header(wav(tmp_path / "song.wav", 65_535, 4_294_967_295, 1))
    assert header is not None
    assert (header.channels, header.sample_rate) == (None, None)


def test_file_without_header_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = tmp_path / "song.mp3", []
    path.write_bytes(b"\xff" * 3_000_000)

    class Counting(audio_headers._BoundedReader):
        def read(self, size: int = -1) -> bytes:
            reads.append(size)
            return super().read(size)

    monkeypatch.setattr(audio_headers, "_BoundedReader", Counting)
    assert read_header(path) is None
    assert len(reads) <= 100_000 + 3_000_000 // 64 + 1


def test_not_all_of_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_headers, "_MOST_BYTES", 1000)
    path = tmp_path / "song.ogg"
    soundfile.write(path, np.zeros((44_100 * 30, 2)), 44_100)
    assert read_header(path) is None
