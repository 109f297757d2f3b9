"""What people have: short, cut, empty, damaged, silent, odd files. With a real worker and the dsp runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

Start = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def worker(start_worker: Start) -> Any:
    started = start_worker()
    started.start()
    return started


def codes(result: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in result["warnings"]]


def refused(worker: Any, track: Path, out: Path, **changes: Any) -> Any:
    with pytest.raises(worker.Error) as raised:
        worker.separate(track, out, **changes)
    assert not list(out.iterdir())
    return raised.value


def test_files_that_are_not_audio(worker: Any, tmp_path: Path, out: Path) -> None:
    assert refused(worker, tmp_path / "none.wav", out).kind == "input_missing"
    assert refused(worker, tmp_path, out).kind == "input_unreadable"
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert refused(worker, empty, out).kind == "input_empty"
    for name, content in (("text.flac", b"not audio at all\n" * 99), ("a.raw", b"\0" * 999), ("riff.wav", b"RIFF")):
        (tmp_path / name).write_bytes(content)
        assert refused(worker, tmp_path / name, out).kind == "input_unreadable"


def test_no_frames(worker: Any, write_track: Write, out: Path) -> None:
    assert refused(worker, write_track(frames=0), out).kind == "input_empty"
    assert refused(worker, write_track("e.flac", frames=0), out).kind in ("input_empty", "input_unreadable")


@pytest.mark.parametrize("frames", [1, 2, 100, 4410])
def test_very_short(worker: Any, write_track: Write, out: Path, frames: int) -> None:
    result = worker.separate(write_track(frames=frames), out)
    assert [stem["frames"] for stem in result["outputs"]] == [frames, frames]


@pytest.mark.parametrize("sample_rate", [8000, 22050, 192000])
def test_any_sample_rate(worker: Any, write_track: Write, out: Path, sample_rate: int) -> None:
    result = worker.separate(write_track(sample_rate=sample_rate, frames=sample_rate // 2), out)
    assert {stem["sample_rate"] for stem in result["outputs"]} == {sample_rate}
    assert {stem["frames"] for stem in result["outputs"]} == {sample_rate // 2}


def test_seven_channels_are_refused_with_what_is_accepted(worker: Any, write_track: Write, out: Path) -> None:
    error = refused(worker, write_track(channels=7, frames=100), out)
    assert error.kind == "input_channels"
    assert str(error) == "the input has 7 channels; this model accepts 1 or 2"


def test_seven_channels_for_a_model_that_takes_them(
    start_worker: Start, copying_adapter: Write, write_track: Write, out: Path
) -> None:
    worker = start_worker(copying_adapter(channels="(7,)"))
    worker.start()
    track = write_track(channels=7, frames=1000, subtype="FLOAT")
    worker.separate(track, out)
    assert np.array_equal(soundfile.read(out / "copy.wav")[0], soundfile.read(track)[0])


def test_silence(worker: Any, write_track: Write, out: Path) -> None:
    for normalize in (False, True):
        result = worker.separate(write_track(level=0.0), out, normalize=normalize)
        assert codes(result) == ["input_silent"]
        assert result["gain"] == 1.0
        for path in out.iterdir():
            assert not soundfile.read(path)[0].any()
            path.unlink()


def test_some_samples_are_not_finite(worker: Any, tmp_path: Path, out: Path) -> None:
    audio = np.full((4000, 2), 0.1, np.float32)
    audio[5, 0], audio[3000, 1] = np.nan, -np.inf
    soundfile.write(tmp_path / "nan.wav", audio, 44100, subtype="FLOAT")
    result = worker.separate(tmp_path / "nan.wav", out)
    assert codes(result) == ["input_nonfinite_samples"]
    assert result["warnings"][0]["message"].startswith("2 of 8000 samples")
    total = sum(soundfile.read(path)[0] for path in out.iterdir())
    assert np.allclose(total, np.nan_to_num(audio, nan=0, posinf=0, neginf=0), atol=1e-6)


def test_no_sample_is_finite(worker: Any, tmp_path: Path, out: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.full((4000, 2), np.nan, np.float32), 44100, subtype="FLOAT")
    assert refused(worker, tmp_path / "nan.wav", out).kind == "input_nonfinite"


@pytest.mark.parametrize(
    ("name", "options", "promise"),
    [
        ("cut.wav", {}, True),
        ("cut.aiff", {}, True),
        ("cut.flac", {}, True),
        ("cut.mp3", {}, True),
        ("cut.ogg", {}, False),
        ("cut.opus", {"format": "OGG", "subtype": "OPUS", "sample_rate": 48000}, False),
    ],
)
def test_cut_short(
    worker: Any, write_track: Write, out: Path, name: str, options: dict[str, Any], promise: bool
) -> None:
    path = write_track(name, frames=200_000, **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    result = worker.separate(path, out)
    assert codes(result) == ["input_truncated"]
    assert ("promises 200000 frames" in result["warnings"][0]["message"]) == promise
    # Near enough to what is in the file; the rest of the frame at which it was cut is lost.
    assert 90_000 < result["range"]["frames"] < 125_000
    assert {stem["frames"] for stem in result["outputs"]} == {result["range"]["frames"]}


def test_whole_files_are_not_called_cut(worker: Any, write_track: Write, out: Path) -> None:
    opus = {"format": "OGG", "subtype": "OPUS", "sample_rate": 48000}
    for name, options in (("a.wav", {}), ("a.flac", {}), ("a.mp3", {}), ("a.ogg", {}), ("a.opus", opus)):
        track = write_track(name, frames=100_000, **options)
        files = {"harmonic": name + ".h.wav", "percussive": name + ".p.wav"}
        result = worker.separate(track, out, files=files)
        assert codes(result) == []
        assert result["range"]["frames"] == 100_000


def test_a_wav_whose_size_was_never_filled_in(worker: Any, write_track: Write, out: Path) -> None:
    path = write_track(frames=10_000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff" * 4
    path.write_bytes(data)
    result = worker.separate(path, out)
    assert (codes(result), result["range"]["frames"]) == ([], 10_000)


def write_m4a(path: Path, audio: np.ndarray[Any, Any], sample_rate: int, container_format: str = "ipod") -> None:
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream("aac", rate=sample_rate, layout="stereo")
        stream.bit_rate = 256_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T), format="fltp", layout="stereo")
        frame.sample_rate = sample_rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_m4a_and_video(worker: Any, tmp_path: Path, out: Path) -> None:
    # A chirp: unlike noise, AAC keeps its waveform, and unlike a tone, it is itself at one delay only.
    seconds = np.arange(90_000) / 44100
    chirp = 0.3 * np.sin(2 * np.pi * (200 * seconds + 500 * seconds**2)).astype(np.float32)
    audio = np.stack([chirp, 0.5 * chirp], axis=1)
    for name, container in (("a.m4a", "ipod"), ("a.mkv", "matroska")):
        write_m4a(tmp_path / name, audio, 44100, container)
        files = {"harmonic": name + ".h.wav", "percussive": name + ".p.wav"}
        result = worker.separate(tmp_path / name, out, files=files)
        assert result["input"]["subtype"] == "aac"
        assert abs(result["range"]["frames"] - 90_000) <= 1200
        total = sum(soundfile.read(out / file)[0] for file in files.values())
        middle = slice(5000, 80_000)
        assert np.abs(total[middle] - audio[middle]).max() < 0.03


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.m4a"])
def test_a_range_is_that_part_of_the_track(
    start_worker: Start, copying_adapter: Write, write_track: Write, tmp_path: Path, out: Path, name: str
) -> None:
    if name == "a.m4a":
        write_m4a(tmp_path / name, soundfile.read(write_track(frames=100_000), dtype="float32")[0], 44100)
        track = tmp_path / name
    else:
        track = write_track(name, frames=100_000)
    worker = start_worker(copying_adapter())
    worker.start()
    worker.separate(track, out, files={"copy": "all.wav"})
    result = worker.separate(track, out, files={"copy": "part.wav"}, start_seconds=0.7, duration_seconds=0.25)
    assert result["range"] == {"start_frame": 30870, "frames": 11025}
    whole, part = (soundfile.read(out / file)[0] for file in ("all.wav", "part.wav"))
    assert np.allclose(part, whole[30870 : 30870 + 11025], atol=1e-4)


def test_ranges_that_reach_beyond(worker: Any, write_track: Write, out: Path) -> None:
    track = write_track(frames=44100)
    result = worker.separate(track, out, start_seconds=0.5, duration_seconds=9.0)
    assert result["range"] == {"start_frame": 22050, "frames": 22050}
    for path in out.iterdir():
        path.unlink()
    assert refused(worker, track, out, start_seconds=1.0).kind == "range_empty"
    assert refused(worker, track, out, duration_seconds=0.0).kind == "range_empty"
    assert refused(worker, track, out, start_seconds=1e9).kind == "range_empty"


def test_ranges_of_a_file_that_is_cut_short(worker: Any, write_track: Write, out: Path) -> None:
    for name in ("a.wav", "a.flac", "a.mp3", "a.ogg"):
        path = write_track(name, frames=441_000)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        files = {"harmonic": name + ".h.wav", "percussive": name + ".p.wav"}
        result = worker.separate(path, out, files=files, start_seconds=2.0, duration_seconds=1.0)
        assert result["range"] == {"start_frame": 88200, "frames": 44100}
        for file in files.values():
            (out / file).unlink()
        assert refused(worker, path, out, start_seconds=8.0).kind == "range_empty"


@pytest.mark.parametrize("sample_rate", [0, 4_000_000_000])
def test_sample_rates_that_cannot_be(worker: Any, write_track: Write, out: Path, sample_rate: int) -> None:
    path = write_track(frames=1000)
    data = bytearray(path.read_bytes())
    data[24:28] = sample_rate.to_bytes(4, "little")
    path.write_bytes(data)
    assert refused(worker, path, out).kind == "input_unreadable"


def test_a_path_that_is_not_text(worker: Any, write_track: Write, tmp_path: Path, out: Path) -> None:
    track = write_track(frames=1000)
    odd = tmp_path / "caf\udce9 ♫.wav"
    try:
        track.rename(odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes Unicode names only")
    assert worker.separate(odd, out)["range"]["frames"] == 1000
