"""The demo song: what is promised about its files, and that it is free of the usual faults of synthesis."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from demo import song

SOURCES = ("drums", "bass", "lead")
SECONDS = 12.0

Song = dict[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def composed() -> Song:
    return {name: samples / song.FULL_SCALE for name, samples in song.compose(SECONDS).items()}


def peak_dbfs(audio: npt.NDArray[np.float64]) -> float:
    return float(20 * np.log10(np.abs(audio).max()))


def rms_dbfs(audio: npt.NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.mean(audio**2)))


def side_to_mid_db(audio: npt.NDArray[np.float64]) -> float:
    left, right = audio.T
    return float(10 * np.log10(np.mean((left - right) ** 2) / np.mean((left + right) ** 2) + 1e-30))


def energy_above(audio: npt.NDArray[np.float64], hertz: float) -> float:
    """The share of a track's energy above a frequency."""
    power = np.abs(np.fft.rfft(audio.mean(axis=1))) ** 2
    frequency = np.fft.rfftfreq(len(audio), 1 / song.SAMPLE_RATE)
    return float(power[frequency > hertz].sum() / power.sum())


class TestFiles:
    def test_four_24_bit_files_are_written_and_described(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert song.main([str(tmp_path / "made" / "here"), "--seconds", "2.5"]) == 0

        line, end = capsys.readouterr().out.split("\n")
        summary = json.loads(line)
        assert end == ""
        assert summary["frames"] == 110250
        assert list(summary["tracks"]) == ["mix", *SOURCES]
        for track in summary["tracks"].values():
            info = soundfile.info(tmp_path / "made" / "here" / track["file"])
            assert (info.samplerate, info.channels, info.frames) == (44100, 2, 110250)
            assert info.subtype == "PCM_24"

    def test_the_mix_that_is_read_back_is_exactly_the_sum(self, tmp_path: Path) -> None:
        song.main([str(tmp_path), "--seconds", "3"])

        read = {name: soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("mix", *SOURCES)}

        assert np.array_equal(read["mix"], read["drums"] + read["bass"] + read["lead"])

    def test_the_same_bytes_each_time(self, tmp_path: Path) -> None:
        for run in ("first", "second"):
            song.main([str(tmp_path / run), "--seconds", "3"])

        for name in ("mix", *SOURCES):
            first, second = ((tmp_path / run / f"{name}.wav").read_bytes() for run in ("first", "second"))
            assert first == second

    @pytest.mark.parametrize("seconds", ["0", "0.99", "181", "nan", "long"])
    def test_refuses_a_length_it_cannot_make(self, seconds: str, tmp_path: Path) -> None:
        with pytest.raises(SystemExit) as stopped:
            song.main([str(tmp_path / "out"), "--seconds", seconds])

        assert stopped.value.code == 2
        assert not (tmp_path / "out").exists()


class TestSound:
    @pytest.mark.parametrize("seconds", [1.0, 2.4, 7.7, SECONDS])
    def test_the_mix_peaks_below_full_scale_at_any_length(self, seconds: float) -> None:
        tracks = song.compose(seconds)

        assert {len(samples) for samples in tracks.values()} == {song.frames_in(seconds)}
        for samples in tracks.values():
            assert peak_dbfs(samples / song.FULL_SCALE) <= song.MIX_PEAK_DBFS + 0.01

    def test_levels_are_those_of_a_mix(self, composed: Song) -> None:
        assert peak_dbfs(composed["mix"]) == pytest.approx(song.MIX_PEAK_DBFS, abs=0.01)
        assert rms_dbfs(composed["mix"]) > -20
        levels = [rms_dbfs(composed[name]) for name in SOURCES]
        assert max(levels) - min(levels) < 4

    def test_there_is_no_offset(self, composed: Song) -> None:
        for audio in composed.values():
            assert np.abs(audio.mean(axis=0)).max() < 2e-4

    def test_it_starts_and_ends_in_silence(self, composed: Song) -> None:
        for audio in composed.values():
            assert not audio[0].any()
            assert np.abs(audio[-50:]).max() < 1e-5

    def test_nothing_clicks_in_the_pitched_sources(self, composed: Song) -> None:
        # A step has energy at all frequencies; theirs ends far below.
        assert energy_above(composed["bass"], 5_000) < 1e-9
        assert energy_above(composed["lead"], 15_000) < 1e-4

    def test_bass_and_lead_are_in_the_centre_and_drums_around_it(self, composed: Song) -> None:
        assert side_to_mid_db(composed["bass"]) < -120
        assert side_to_mid_db(composed["lead"]) < -12
        assert side_to_mid_db(composed["drums"]) > -10


class TestScore:
    @pytest.mark.parametrize(
        ("pitch", "expected"), [("A4", 440.0), ("A1", 55.0), ("C4", 261.6256), ("B3", 246.9417), ("E4", 329.6276)]
    )
    def test_pitches_are_those_of_equal_temperament(self, pitch: str, expected: float) -> None:
        assert song.hertz(pitch) == pytest.approx(expected, abs=1e-3)

    @pytest.mark.parametrize("pitch", ["", "H4", "A", "A#4", "A44"])
    def test_refuses_what_is_no_natural_note(self, pitch: str) -> None:
        with pytest.raises(ValueError, match="not a note"):
            song.hertz(pitch)

    @pytest.mark.parametrize("bar", [*song.MELODY, song.MELODY_ENDING, *song.BASS, song.BASS_ENDING])
    def test_bars_of_notes_are_full(self, bar: str) -> None:
        assert sum(float(word.split("/")[1]) for word in bar.split()) == song.BAR_BEATS

    @pytest.mark.parametrize("bar", [*song.DRUMS, song.DRUMS_ENDING])
    def test_bars_of_drums_are_full_and_can_be_played(self, bar: dict[str, str]) -> None:
        assert set(bar) <= set(song.KIT)
        for strokes in bar.values():
            assert len(strokes) == 4 * song.BAR_BEATS
            assert set(strokes) <= {".", *song.VELOCITY}

    def test_notes_follow_each_other_across_bars_and_rests(self) -> None:
        found = song.notes(["A4/2/a -/1 A3/1/o", "A4/4/e"])

        assert [note.hertz for note in found] == [440.0, 220.0, 440.0]
        assert [note.vowel for note in found] == ["a", "o", "e"]
        assert [note.length for note in found] == pytest.approx([1.2, 0.6, 2.4])
        starts = [note.start for note in found]
        assert [later - earlier for earlier, later in pairwise(starts)] == pytest.approx([1.8, 0.6])

    @pytest.mark.parametrize(("bars", "expected"), [(1, "a"), (2, "az"), (4, "abcz"), (5, "abcaz"), (7, "abcabcz")])
    def test_the_cycle_repeats_and_the_ending_comes_last(self, bars: int, expected: str) -> None:
        assert "".join(song.arranged("abc", "z", bars)) == expected
