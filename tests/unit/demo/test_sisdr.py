"""SI-SDR: against cases whose value is known in closed form, and the command around it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from demo import sisdr
from hypothesis import given
from hypothesis import strategies as st

Audio = npt.NDArray[np.float64]

RATE = 8000
FRAMES = 4000

gains = st.floats(min_value=1e-200, max_value=1e200)
snrs = st.floats(min_value=-80, max_value=80)


def tone(hertz: float, channels: int = 2) -> Audio:
    """A sine of whole periods: tones of different frequencies are orthogonal, and have the same energy."""
    wave = np.sin(2 * np.pi * hertz * np.arange(FRAMES) / RATE)
    return np.stack([wave] * channels, axis=1)


def noisy(snr_db: float) -> Audio:
    """A tone of 200 Hz under one orthogonal to it."""
    return tone(200) + 10 ** (-snr_db / 20) * tone(300)


def decibels(value: float | None) -> float:
    assert value is not None
    return value


class TestSiSdr:
    @pytest.mark.parametrize("gain", [1.0, -1.0, 0.5, 1e-6, 3e4])
    def test_a_scaled_copy_is_perfect(self, gain: float) -> None:
        assert decibels(sisdr.si_sdr(gain * tone(200), tone(200))) > 290

    @given(snr=snrs)
    def test_orthogonal_noise_gives_its_snr(self, snr: float) -> None:
        assert sisdr.si_sdr(noisy(snr), tone(200)) == pytest.approx(snr, abs=1e-6)

    @given(snr=snrs, estimate_gain=gains, reference_gain=gains)
    def test_gain_does_not_matter(self, snr: float, estimate_gain: float, reference_gain: float) -> None:
        scaled = sisdr.si_sdr(estimate_gain * noisy(snr), -reference_gain * tone(200))

        assert scaled == pytest.approx(snr, abs=1e-6)

    def test_noise_in_the_reference_counts_like_the_estimates(self) -> None:
        # cos^2 / sin^2 of the angle between two vectors does not depend on which is called the reference
        assert sisdr.si_sdr(tone(200), noisy(7)) == pytest.approx(decibels(sisdr.si_sdr(noisy(7), tone(200))))

    def test_an_orthogonal_estimate_has_nothing_of_the_reference(self) -> None:
        assert decibels(sisdr.si_sdr(tone(300), tone(200))) < -250

    def test_disjoint_channels_share_nothing(self) -> None:
        left, right = tone(200) * [1, 0], tone(200) * [0, 1]

        assert sisdr.si_sdr(left, right) == -sisdr.LIMIT_DB

    def test_silence_has_no_value(self) -> None:
        silence = np.zeros((FRAMES, 2))

        assert sisdr.si_sdr(silence, tone(200)) is None
        assert sisdr.si_sdr(tone(200), silence) is None
        assert sisdr.si_sdr(silence, silence) is None
        assert sisdr.si_sdr(silence[:0], silence[:0]) is None

    def test_an_offset_is_an_error(self) -> None:
        # a tone of amplitude 1 has power 1/2, an offset of 0.1 has 1/100
        assert sisdr.si_sdr(tone(200) + 0.1, tone(200)) == pytest.approx(10 * math.log10(50))

    def test_channels_share_one_gain(self) -> None:
        # One channel is lost: half of the reference is in the estimate, under a gain of 1/2 that leaves as much again.
        assert sisdr.si_sdr(tone(200) * [1, 0], tone(200)) == pytest.approx(0.0, abs=1e-9)


class Files:
    """Audio files in a folder, and what the command makes of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def write(self, name: str, samples: Audio, rate: int = RATE) -> Path:
        path = self.folder / name
        soundfile.write(path, samples, rate, subtype="DOUBLE")
        return path

    def measure(self, *pairs: str) -> dict[str, Any]:
        assert sisdr.main(self.arguments(pairs)) == 0
        document = json.loads(self.capsys.readouterr().out, parse_constant=pytest.fail)
        assert isinstance(document, dict)
        return document

    def refusal(self, *pairs: str) -> str:
        assert sisdr.main(self.arguments(pairs)) == 2
        said = self.capsys.readouterr()
        assert said.out == ""
        return said.err

    def arguments(self, pairs: tuple[str, ...]) -> list[str]:
        return ["--mix", str(self.folder / "mix.wav"), *(word for pair in pairs for word in ("--pair", pair))]


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    files = Files(tmp_path, capsys)
    files.write("mix.wav", tone(200) + tone(300) + tone(400))
    return files


class TestCommand:
    def test_measures_before_and_after(self, files: Files) -> None:
        reference = files.write("reference.wav", tone(200))
        estimate = files.write("estimate.wav", noisy(20))

        document = files.measure(f"{estimate}={reference}")

        assert document["metric"] == "SI-SDR"
        assert document["pairs"] == [
            {
                "estimate": str(estimate),
                "references": [str(reference)],
                "before_db": -3.01,
                "after_db": 20.0,
                "improvement_db": 23.01,
            }
        ]

    def test_adds_references_up(self, files: Files) -> None:
        low, high = files.write("low.wav", tone(200)), files.write("high.wav", tone(300))
        estimate = files.write("estimate.wav", tone(200) + tone(300) + 0.1 * tone(400))

        (row,) = files.measure(f"{estimate}={low}+{high}")["pairs"]

        assert row["references"] == [str(low), str(high)]
        assert (row["before_db"], row["after_db"]) == (3.01, 23.01)

    def test_keeps_pairs_in_order_and_says_null_for_silence(self, files: Files) -> None:
        reference = files.write("reference.wav", tone(200))
        silent = files.write("silent.wav", np.zeros((FRAMES, 2)))

        first, second, third = files.measure(
            f"{silent}={reference}", f"{reference}={silent}", f"{reference}={reference}"
        )["pairs"]

        assert (first["before_db"], first["after_db"], first["improvement_db"]) == (-3.01, None, None)
        assert (second["before_db"], second["after_db"], second["improvement_db"]) == (None, None, None)
        assert third["after_db"] == 300

    def test_takes_an_estimate_whose_path_holds_an_equals_sign(self, files: Files) -> None:
        reference, estimate = files.write("reference.wav", tone(200)), files.write("a=b.wav", tone(200))

        (row,) = files.measure(f"{estimate}={reference}")["pairs"]

        assert row["estimate"] == str(estimate)

    @pytest.mark.parametrize(
        ("samples", "rate", "said"),
        [
            (tone(200)[:-1], RATE, "is 3999 frames of 2 channels at 8000 Hz, where the mix is 4000 frames"),
            (tone(200, channels=1), RATE, "is 4000 frames of 1 channels"),
            (tone(200), 16_000, "at 16000 Hz, where the mix is"),
            (tone(200) * math.nan, RATE, "not finite"),
        ],
        ids=["length", "channels", "rate", "nan"],
    )
    @pytest.mark.parametrize("side", ["estimate", "reference"])
    def test_refuses_audio_that_does_not_go_with_the_mix(
        self, files: Files, samples: Audio, rate: int, said: str, side: str
    ) -> None:
        good, bad = files.write("good.wav", tone(200)), files.write("bad.wav", samples, rate)

        refusal = files.refusal(f"{bad}={good}" if side == "estimate" else f"{good}={bad}")

        assert str(bad) in refusal
        assert said in refusal

    def test_refuses_what_is_missing_and_what_is_no_audio(self, files: Files) -> None:
        good, text = files.write("good.wav", tone(200)), files.folder / "text.wav"
        text.write_text("not audio")

        assert str(files.folder / "missing.wav") in files.refusal(f"{files.folder / 'missing.wav'}={good}")
        assert str(text) in files.refusal(f"{text}={good}")

    @pytest.mark.parametrize("pair", ["", "estimate.wav", "=reference.wav", "estimate.wav=", "a=b++c", "a=+"])
    def test_refuses_a_pair_it_cannot_read(self, files: Files, pair: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            files.measure(pair)

        assert stopped.value.code == 2
        assert "expected ESTIMATE=REFERENCE" in capsys.readouterr().err
