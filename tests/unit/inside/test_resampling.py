"""Streams at another rate: exact lengths, and the same samples whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsep_envs.inside.resampling import Resampler, resampled_frames

RATES = st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000])


def resample(audio: np.ndarray, rates: tuple[int, int], block_frames: int, total: int | None = None) -> np.ndarray:
    resampler = Resampler(*rates, audio.shape[1])
    blocks = [resampler.process(audio[at : at + block_frames]) for at in range(0, len(audio), block_frames)]
    return np.concatenate([*blocks, resampler.finish(total)])


@settings(deadline=None)
@given(RATES, RATES, st.integers(1, 20_000), st.integers(1, 5000), st.integers(1, 2))
def test_lengths_are_exact(from_rate: int, to_rate: int, frames: int, block_frames: int, channels: int) -> None:
    audio = np.ones((frames, channels), np.float32)
    resampled = resample(audio, (from_rate, to_rate), max(block_frames, frames // 20), None)
    assert resampled.shape == (resampled_frames(frames, from_rate, to_rate), channels)
    assert abs(len(resampled) - frames * to_rate / from_rate) <= 0.5
    assert resampled.dtype == np.float32


def test_blocks_leave_no_trace() -> None:
    audio = np.random.default_rng(0).standard_normal((30_000, 2)).astype(np.float32)
    whole = resample(audio, (44100, 48000), 30_000)
    for block_frames in (100, 4096):
        assert np.abs(resample(audio, (44100, 48000), block_frames) - whole).max() < 1e-5


def test_the_same_rate_changes_nothing() -> None:
    audio = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32)
    assert np.array_equal(resample(audio, (44100, 44100), 64), audio)


@pytest.mark.parametrize("total", [1087, 1089, 1090])
def test_a_total_that_is_asked_for_is_met(total: int) -> None:
    assert len(resample(np.ones((1000, 1), np.float32), (44100, 48000), 64, total)) == total
