"""A worker gets the room that a track can take, whatever its format, and never the whole disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stemsep_envs.separation.output_limits import FLOOR_BYTES, idle_bound, set_bound, track_limits


def bound(source: Path, stems: int = 4, sample_rate: int | None = 44_100) -> int:
    return track_limits(source, stems=stems, sample_rate=sample_rate, folder=source.parent).output_bytes


def track_seconds(source: Path) -> float:
    return track_limits(source, stems=4, sample_rate=44_100, folder=source.parent).seconds


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_it_is_enough_for_every_stem_twice_and_not_much_more(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"song.{suffix}"
    soundfile.write(source, np.zeros((44_100 * 20, 2)), 44_100)
    needed = 4 * 2 * 20 * 44_100 * 2 * 4
    assert needed < bound(source) - FLOOR_BYTES < 1 << 37


def test_lying_header_gives_no_more_than_the_file_can_hold(tmp_path: Path) -> None:
    source = tmp_path / "song.wav"
    soundfile.write(source, np.zeros((1000, 2)), 44_100)
    honest = bound(source)
    data = source.read_bytes()
    source.write_bytes(data.replace(b"data" + (4000).to_bytes(4, "little"), b"data" + b"\xf0\xff\xff\xff"))
    assert bound(source) <= 2 * honest


def test_it_leaves_some_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "song.wav"
    soundfile.write(source, np.zeros((44_100, 2)), 44_100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _usage(1_000_000))
    assert bound(source) == idle_bound(tmp_path) == 900_000


def _usage(free: int) -> Any:
    return type("Usage", (), {"free": free})


def test_what_cannot_be_read_is_the_workers_to_say(tmp_path: Path) -> None:
    assert bound(tmp_path / "missing.wav") > FLOOR_BYTES


def test_the_launcher_reads_a_number(tmp_path: Path) -> None:
    set_bound(tmp_path / "bound", 12)
    assert (tmp_path / "bound").read_text("ascii") == "12"


def test_track_time_is_long_and_bounded(tmp_path: Path) -> None:
    assert track_seconds(tmp_path / "missing.wav") == 3600
    for suffix in ("wav", "mp3"):
        source = tmp_path / f"song.{suffix}"
        soundfile.write(source, np.zeros((44_100 * 20, 2)), 44_100)
        assert 3600 + 300 * 20 <= track_seconds(source) < 3600 + 300 * 200
    data = source.with_suffix(".wav").read_bytes()
    source.with_suffix(".wav").write_bytes(data.replace(b"data" + data[40:44], b"data" + b"\xf0\xff\xff\xff"))
    assert track_seconds(source.with_suffix(".wav")) < 1e6
