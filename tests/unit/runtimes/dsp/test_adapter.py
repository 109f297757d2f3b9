"""The dsp models: what they promise of their stems, at any block size, on tracks made here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Audio = npt.NDArray[np.float32]

ADAPTER = Path(__file__).resolve().parents[4] / "runtimes" / "dsp" / "adapter.py"
RATE = 44100


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dsp_adapter", ADAPTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dsp = _load()


class Source:
    """A track in memory."""

    def __init__(self, audio: Audio, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.channels = audio.shape[1]
        self.frames = len(audio)
        self._audio = audio

    def read(self, frames: int) -> Audio:
        block, self._audio = self._audio[:frames], self._audio[frames:]
        return block


class Sink:
    """A stem in memory."""

    def __init__(self) -> None:
        self.blocks: list[Audio] = []

    def write(self, block: Audio) -> None:
        self.blocks.append(block.copy())


class RefusedError(Exception):
    """What `context.fail` raises here."""


class Context:
    """Notes progress."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, int]] = []

    def progress(self, done_frames: int, total_frames: int) -> None:
        self.reports.append((done_frames, total_frames))

    def check_cancelled(self) -> None:
        pass

    def fail(self, kind: str, message: str, hint: str | None = None) -> None:
        raise RefusedError(kind, message, hint)


def separate(
    model_type: str, audio: Audio, sample_rate: int = RATE, only: str | None = None, **given: Any
) -> dict[str, Audio]:
    request = {"model": {"model_type": model_type}, "settings": given}
    context = Context()
    model = dsp.load(request, context)
    sinks = {stem: Sink() for stem in model.stems if only in (None, stem)}
    model.separate(Source(audio, sample_rate), sinks, context)
    assert context.reports[-1] == (len(audio), len(audio))
    return {stem: np.concatenate(sink.blocks) for stem, sink in sinks.items()}


def noise(frames: int, channels: int = 2) -> Audio:
    return np.random.default_rng(0).standard_normal((frames, channels)).astype(np.float32)


def si_sdr(estimate: Audio, truth: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., "SDR: half-baked or well done?", 2019)."""
    flat, reference = estimate.ravel().astype(float), truth.ravel().astype(float)
    target = (flat @ reference) / (reference @ reference) * reference
    return float(10 * np.log10((target @ target) / ((flat - target) @ (flat - target))))


def as_mono(samples: npt.NDArray[np.float64]) -> Audio:
    audio: Audio = samples.astype(np.float32)[:, None]
    return audio


def chords(seconds: int, seed: int) -> Audio:
    """Three held notes with overtones at a time, one chord a second."""
    random = np.random.default_rng(seed)
    time = np.arange(RATE) / RATE
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.05)
    parts = []
    for _ in range(seconds):
        root = 110 * 2 ** (random.integers(24) / 12)
        notes = [root * step * overtone for step in (1, 1.26, 1.498) for overtone in range(1, 8)]
        parts.append(fade * sum(np.sin(2 * np.pi * note * time + note) * root / note for note in notes))
    audio = np.concatenate(parts)
    return as_mono(0.3 * audio / np.abs(audio).max())


def drums(seconds: int, seed: int) -> Audio:
    """Eight short noise bursts a second."""
    random = np.random.default_rng(seed)
    decay = np.exp(-np.arange(RATE // 8) / RATE * 60)
    bursts = [decay * random.standard_normal(len(decay)) for _ in range(8 * seconds)]
    audio = np.resize(np.concatenate(bursts), seconds * RATE)
    return as_mono(0.4 * audio / np.abs(audio).max())


@given(
    st.sampled_from(["hpss", "hpr", "centre-side"]),
    st.integers(1, 20_000),
    st.sampled_from([8000, 22050, 44100]),
    st.sampled_from([0.5, 0.75, 0.875]),
)
@settings(deadline=None, max_examples=40)
def test_stems_have_the_length_of_the_input_and_sum_to_it(
    model_type: str, frames: int, sample_rate: int, overlap: float
) -> None:
    audio = noise(frames)
    stems = separate(model_type, audio, sample_rate, overlap=overlap)
    assert all(stem.shape == audio.shape for stem in stems.values())
    assert all(np.isfinite(stem).all() for stem in stems.values())
    assert np.abs(sum(stems.values()) - audio).max() < 2e-6


@pytest.mark.parametrize("model_type", ["hpss", "hpr", "centre-side"])
@pytest.mark.parametrize("frames", [3000, 30_000, 120_001])
def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch, model_type: str, frames: int) -> None:
    audio = noise(frames)
    results = []
    for stft_frames in (1, 7, 64, 100_000):
        monkeypatch.setattr(dsp, "_stft_frames_per_block", lambda _stft, _channels, count=stft_frames: count)
        results.append(separate(model_type, audio))
    for result in results[1:]:
        for stem, samples in result.items():
            assert np.abs(samples - results[0][stem]).max() < 1e-6


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e18])
@pytest.mark.parametrize("model_type", ["hpss", "hpr", "centre-side"])
def test_extreme_levels_stay_finite(model_type: str, scale: float) -> None:
    audio = noise(20_000) * np.float32(scale)
    stems = separate(model_type, audio, mask_power=8.0)
    assert all(np.isfinite(stem).all() for stem in stems.values())
    assert np.abs(sum(stems.values()) - audio).max() <= 2e-6 * scale


def test_only_what_is_asked_for_is_written() -> None:
    audio = noise(20_000)
    alone = separate("hpr", audio, only="percussive")
    assert list(alone) == ["percussive"]
    assert np.array_equal(alone["percussive"], separate("hpr", audio)["percussive"])


def test_mono_is_one_channel_of_stereo() -> None:
    audio = noise(20_000, 1)
    both = separate("hpss", np.repeat(audio, 2, axis=1))["harmonic"]
    assert np.allclose(separate("hpss", audio)["harmonic"], both[:, :1], atol=1e-7)


class TestQuality:
    """Each model does what it is for, by SI-SDR in dB; the thresholds leave room for other rounding only."""

    def test_hpss_tells_chords_from_drums(self) -> None:
        tonal, hits = chords(6, 1), drums(6, 2)
        mix = tonal + hits
        stems = separate("hpss", mix)
        assert si_sdr(stems["harmonic"], tonal) > si_sdr(mix, tonal) + 8
        assert si_sdr(stems["percussive"], hits) > si_sdr(mix, hits) + 10

    def test_settings_mean_the_same_at_every_rate(self) -> None:
        tonal, hits = chords(4, 1)[::2], drums(4, 2)[::2]
        stems = separate("hpss", tonal + hits, RATE // 2)
        assert si_sdr(stems["harmonic"], tonal) > si_sdr(tonal + hits, tonal) + 8

    def test_a_margin_moves_what_is_unclear_to_the_residual(self) -> None:
        mix = chords(4, 1) + drums(4, 2)
        energies = [
            float(np.square(separate("hpr", mix, margin=margin)["residual"]).mean()) for margin in (1.0, 2.0, 4.0)
        ]
        assert energies[0] < 1e-9 < energies[1] < energies[2]

    def test_centre_side_finds_what_both_channels_share(self) -> None:
        centre = np.repeat(chords(6, 3), 2, axis=1)
        sides = np.concatenate([chords(6, 4), drums(6, 5)], axis=1)
        stems = separate("centre-side", centre + sides)
        assert si_sdr(stems["centre"], centre) > si_sdr(centre + sides, centre) + 4
        assert si_sdr(stems["sides"], sides) > si_sdr(centre + sides, sides) + 4

    def test_one_side_alone_has_no_centre_and_mono_has_no_sides(self) -> None:
        left = np.concatenate([chords(1, 1), np.zeros((RATE, 1), np.float32)], axis=1)
        assert np.abs(separate("centre-side", left)["centre"]).max() < 1e-6
        both = np.repeat(chords(1, 1), 2, axis=1)
        assert np.abs(separate("centre-side", both)["sides"]).max() < 1e-6


@pytest.mark.parametrize("taps", [1, 3, 5, 7, 9, 11, 15, 17, 31, 47, 101, 255])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_medians_are_medians(taps: int, count: int) -> None:
    rows = noise(count + taps - 1, 37)
    windows = np.lib.stride_tricks.sliding_window_view(rows, taps, axis=0)
    assert np.array_equal(dsp.median_filter(rows, taps), np.median(windows, axis=-1))


@given(st.floats(1, 20_000))
def test_transform_lengths_are_near_and_smooth(length: float) -> None:
    found = dsp._nearest_smooth(length)
    assert abs(found - length) <= 0.125 * length + 0.5
    for factor in (2, 3, 5):
        while found % factor == 0:
            found //= factor
    assert found == 1


class TestSettings:
    @pytest.fixture
    def load(self) -> Callable[..., Any]:
        return lambda model_type, **given: dsp.load({"model": {"model_type": model_type}, "settings": given}, Context())

    def test_defaults_are_within_bounds_and_in_effect(self, load: Callable[..., Any]) -> None:
        for model_type, described in dsp.describe()["settings"].items():
            defaults = {name: setting["default"] for name, setting in described.items()}
            assert load(model_type).settings == load(model_type, **defaults).settings == defaults
            for setting in described.values():
                assert setting["minimum"] <= setting["default"] <= setting["maximum"]

    def test_what_is_refused(self, load: Callable[..., Any]) -> None:
        for model_type, refused in (
            ("hpss", {"margin": 2.0}),
            ("hpr", {"margin": 0.5}),
            ("hpss", {"overlap": float("nan")}),
            ("hpss", {"harmonic_seconds": 2.0, "window_seconds": 0.01}),
            ("hpss", {"percussive_hz": 5000, "window_seconds": 0.5}),
        ):
            with pytest.raises(RefusedError) as raised:
                load(model_type, **refused)
            assert raised.value.args[0] == "unsupported_setting"
        with pytest.raises(RefusedError):
            load("htdemucs")

    def test_the_largest_settings_work(self) -> None:
        audio = noise(4000)
        stems = separate(
            "hpss", audio, 8000, window_seconds=0.05, harmonic_seconds=0.39, percussive_hz=5000, overlap=0.96875
        )
        assert np.abs(sum(stems.values()) - audio).max() < 2e-6
