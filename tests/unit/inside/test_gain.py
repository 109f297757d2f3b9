"""The gain of a track: nothing clips, and nothing is changed without need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.inside.gain import NORMALIZED_PEAK, common_gain
from stemsep_envs.inside.quantizing import highest

SAMPLES = st.floats(0.0, 1e6)


@pytest.mark.parametrize("bits", [16, 24])
@given(low=SAMPLES, high=SAMPLES)
def test_no_sample_clips_after_the_gain(bits: int, low: float, high: float) -> None:
    gain, reason = common_gain(-low, high, highest(bits), normalize=False)
    assert high * gain <= highest(bits) * (1 + 1e-12)
    assert low * gain <= 1.0 + 1e-12
    assert (reason == "clipping") == (gain < 1.0)


@pytest.mark.parametrize(("low", "high"), [(-1.0, highest(16)), (0.0, 0.0), (-0.5, 0.25)])
def test_samples_that_fit_keep_their_level(low: float, high: float) -> None:
    assert common_gain(low, high, highest(16), normalize=False) == (1.0, None)


def test_float_files_hold_any_level() -> None:
    assert common_gain(-8.0, 9.0, None, normalize=False) == (1.0, None)


@given(low=st.floats(1e-6, 1e6), high=st.floats(1e-6, 1e6))
def test_normalizing_gives_the_peak_that_was_asked_for(low: float, high: float) -> None:
    gain, reason = common_gain(-low, high, None, normalize=True)
    assert max(low, high) * gain == pytest.approx(NORMALIZED_PEAK)
    assert reason == "normalize"


@pytest.mark.parametrize("peak", [0.0, 5e-324])
def test_silence_is_not_normalized(peak: float) -> None:
    assert common_gain(-peak, 0.0, None, normalize=True) == (1.0, None)
