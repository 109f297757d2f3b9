"""WAV and RF64 files, read back by libsndfile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.inside.output_files import OutputFile
from stemsep_envs.inside.quantizing import Quantizer
from stemsep_envs.inside.wav import MAX_RIFF_BYTES, WavWriter


def write(path: Path, audio: np.ndarray, subtype: str, max_riff_bytes: int = MAX_RIFF_BYTES) -> None:
    file = OutputFile(str(path))
    writer = WavWriter(file, 48000, audio.shape[1], subtype, max_riff_bytes)
    for start in range(0, len(audio), 100):
        writer.write(audio[start : start + 100])
    writer.close()
    file.close()


@pytest.mark.parametrize("max_riff_bytes", [MAX_RIFF_BYTES, 1000])
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize("frames", [0, 1, 1001])
def test_reads_back(tmp_path: Path, frames: int, channels: int, subtype: str, max_riff_bytes: int) -> None:
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (frames, channels), dtype=np.int32)
    audio = values.astype(np.float32) if subtype == "FLOAT" else values
    write(tmp_path / "a.wav", audio, subtype, max_riff_bytes)
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        large = len((tmp_path / "a.wav").read_bytes()) > max_riff_bytes
        assert file.format == ("RF64" if large else "WAVEX" if channels > 2 else "WAV")
        assert (file.subtype, file.samplerate, file.channels, file.frames) == (subtype, 48000, channels, frames)
        assert "(should be" not in file.extra_info
        full_scale = {"FLOAT": 1, "PCM_16": 2**15, "PCM_24": 2**23}[subtype]
        assert np.array_equal(file.read(always_2d=True) * full_scale, values)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1), st.integers(1, 20))
def test_dither_does_not_depend_on_blocks(samples: list[float], block_frames: int) -> None:
    audio = np.array(samples, np.float32)[:, None]
    whole = Quantizer(16)(audio)
    quantize = Quantizer(16)
    blocks = [quantize(audio[start : start + block_frames]) for start in range(0, len(audio), block_frames)]
    assert np.array_equal(np.concatenate(blocks), whole)
    assert np.abs(whole / 2**15 - audio).max() <= 1.5 / 2**15
    assert whole.min() >= -(2**15)
    assert whole.max() < 2**15


def test_dither_keeps_quiet_detail_and_leaves_silence() -> None:
    quiet = np.full((100_000, 1), 0.3 / 2**15, np.float32)
    assert Quantizer(16)(quiet).mean() == pytest.approx(0.3, abs=0.02)
    assert not Quantizer(16)(np.zeros((1000, 2), np.float32)).any()
