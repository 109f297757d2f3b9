"""Stems as files: formats, lengths, gain, determinism, full disks. With a real worker and a model that copies."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

Start = Callable[..., Any]
Write = Callable[..., Path]

FORMATS = [
    ("wav", None, "FLOAT", 0.0),
    ("wav", "32f", "FLOAT", 0.0),
    ("wav", "24", "PCM_24", 2.0**-23),
    ("wav", "16", "PCM_16", 2.0**-14),
    ("flac", None, "PCM_24", 2.0**-23),
    ("flac", "16", "PCM_16", 2.0**-14),
]


@pytest.fixture
def worker(start_worker: Start, copying_adapter: Write) -> Any:
    started = start_worker(copying_adapter())
    started.start()
    return started


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "bit_depth", "subtype", "tolerance"), FORMATS)
def test_lossless_formats(  # noqa: PLR0917
    worker: Any, write_track: Write, out: Path, channels: int, name: str, bit_depth: str, subtype: str, tolerance: float
) -> None:
    track = write_track(frames=50_001, channels=channels, subtype="FLOAT")
    result = worker.separate(track, out, format=name, bit_depth=bit_depth)
    (stem,) = result["outputs"]
    written, sample_rate = soundfile.read(out / stem["file"], always_2d=True)
    given = soundfile.read(track, always_2d=True)[0]
    assert (sample_rate, written.shape, soundfile.info(out / stem["file"]).subtype) == (44100, given.shape, subtype)
    assert np.abs(written - given).max() <= tolerance
    assert (result["gain"], result["gain_reason"], result["warnings"]) == (1.0, None, [])
    assert stem["peak"] == pytest.approx(np.abs(given).max())
    assert [path.name for path in out.iterdir()] == [stem["file"]]


@pytest.mark.parametrize(("name", "sample_rate"), [("mp3", 44100), ("opus", 48000), ("m4a", 44100)])
def test_lossy_formats(worker: Any, tmp_path: Path, out: Path, name: str, sample_rate: int) -> None:
    seconds = np.arange(100_000) / 44100
    tone = 0.5 * np.sin(2 * np.pi * 440 * seconds).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, 0.5 * tone], axis=1), 44100, subtype="FLOAT")
    result = worker.separate(tmp_path / "tone.wav", out, format=name)
    (stem,) = result["outputs"]
    expected_frames = round(100_000 * sample_rate / 44100)
    assert (stem["sample_rate"], stem["frames"]) == (sample_rate, expected_frames)
    assert [w["code"] for w in result["warnings"]] == (["sample_rate_changed"] if sample_rate != 44100 else [])
    decoded = decode(out / stem["file"], expected_frames)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(expected_frames) / sample_rate)
    middle = slice(5000, 90_000)
    assert np.abs(decoded[middle, 0] - wanted[middle]).max() < 0.02
    assert np.abs(decoded[middle, 1] - 0.5 * wanted[middle]).max() < 0.02


def decode(path: Path, frames: int) -> Any:
    if path.suffix != ".m4a":
        audio = soundfile.read(path, always_2d=True)[0]
        assert len(audio) == frames
        return audio
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.duration is not None
        assert stream.duration == frames
        return np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1).T[:frames]


@pytest.mark.parametrize(("name", "bit_depth"), [("flac", "32f"), ("mp3", "16"), ("opus", "24"), ("m4a", "32f")])
def test_bit_depths_that_a_format_lacks(worker: Any, write_track: Write, out: Path, name: str, bit_depth: str) -> None:
    with pytest.raises(worker.Error) as raised:
        worker.separate(write_track(), out, format=name, bit_depth=bit_depth)
    assert raised.value.kind == "unsupported_format"


@pytest.mark.parametrize("name", ["wav", "flac"])
@pytest.mark.parametrize("bit_depth", ["16", "24"])
def test_files_are_the_same_bytes_every_time(
    worker: Any, write_track: Write, out: Path, name: str, bit_depth: str
) -> None:
    track = write_track()
    settings: list[dict[str, Any]] = [{"format": "wav"}, {"format": name, "bit_depth": bit_depth}]
    runs = []
    for run in range(2):
        for index, setting in enumerate(settings):
            worker.separate(track, out, files={"copy": f"{run}-{index}"}, **setting)
        runs.append([(out / f"{run}-{index}").read_bytes() for index in range(len(settings))])
        # libsndfile's float files would carry the second at which they were written.
        time.sleep(1.1 - 1.1 * run)
    assert runs[0] == runs[1]


def test_an_existing_file_is_never_overwritten(worker: Any, write_track: Write, out: Path) -> None:
    (out / "copy.wav").write_text("precious")
    with pytest.raises(worker.Error) as raised:
        worker.separate(write_track(), out)
    assert raised.value.kind == "output_failed"
    assert (out / "copy.wav").read_text() == "precious"


def test_no_folder(worker: Any, write_track: Write, out: Path) -> None:
    with pytest.raises(worker.Error) as raised:
        worker.separate(write_track(), out / "none")
    assert raised.value.kind == "output_failed"


class TestGain:
    """One gain for all stems of a track, and only where it is needed or asked for."""

    @pytest.fixture
    def loud(self, write_track: Write) -> Path:
        return write_track(level=0.8, subtype="FLOAT")

    def test_float_keeps_what_is_above_full_scale(self, start_worker: Start, loud: Path, out: Path) -> None:
        worker = start_worker()
        worker.start()
        result = worker.separate(loud, out)
        assert (result["gain"], result["gain_reason"]) == (1.0, None)
        assert max(stem["peak"] for stem in result["outputs"]) > 1.0

    @pytest.mark.parametrize(("name", "bit_depth"), [("wav", "16"), ("flac", None), ("mp3", None)])
    def test_clipping_is_avoided(
        self, start_worker: Start, loud: Path, out: Path, name: str, bit_depth: str | None
    ) -> None:
        worker = start_worker()
        worker.start()
        result = worker.separate(loud, out, format=name, bit_depth=bit_depth)
        peaks = [stem["peak"] for stem in result["outputs"]]
        assert result["gain_reason"] == "clipping"
        assert result["gain"] == pytest.approx(1 / max(peaks), rel=1e-3)
        if name == "mp3":
            return
        total = sum(soundfile.read(path)[0] for path in out.iterdir())
        given = soundfile.read(loud)[0]
        assert np.abs(total - given * result["gain"]).max() < 1e-3

    def test_full_scale_does_not_clip(self, worker: Any, tmp_path: Path, out: Path) -> None:
        edge = np.array([[-1.0], [32767 / 32768]] * 500)
        soundfile.write(tmp_path / "edge.wav", edge, 44100, subtype="PCM_16")
        assert worker.separate(tmp_path / "edge.wav", out, format="wav", bit_depth="16")["gain"] == 1.0

    @pytest.mark.parametrize("level", [0.001, 0.8])
    def test_normalize(self, start_worker: Start, write_track: Write, out: Path, level: float) -> None:
        worker = start_worker()
        worker.start()
        result = worker.separate(write_track(level=level, subtype="FLOAT"), out, normalize=True)
        assert result["gain_reason"] == "normalize"
        loudest = max(np.abs(soundfile.read(path)[0]).max() for path in out.iterdir())
        assert 20 * np.log10(loudest) == pytest.approx(-1.0, abs=1e-4)


class TestRates:
    """Lengths are exact at every rate."""

    @pytest.mark.parametrize("model_rate", [44100, 48000])
    @pytest.mark.parametrize("source_rate", [8000, 44100, 96000])
    @pytest.mark.parametrize("frames", [1, 7, 10_007])
    def test_as_many_frames_out_as_in(
        self,
        start_worker: Start,
        copying_adapter: Write,
        write_track: Write,
        out: Path,
        model_rate: int,
        source_rate: int,
        frames: int,
    ) -> None:
        worker = start_worker(copying_adapter(sample_rate=str(model_rate)))
        worker.start()
        track = write_track(frames=frames, sample_rate=source_rate)
        for wanted, rate in (("model", model_rate), ("source", source_rate), (32000, 32000)):
            result = worker.separate(track, out, sample_rate=wanted, files={"copy": f"{wanted}.wav"})
            (stem,) = result["outputs"]
            info = soundfile.info(out / stem["file"])
            exact = frames * rate / source_rate
            assert (stem["frames"], stem["sample_rate"]) == (info.frames, info.samplerate)
            assert abs(info.frames - exact) <= 0.5
            assert info.samplerate == rate
            assert wanted != "source" or info.frames == frames

    def test_the_way_there_and_back_keeps_the_signal(
        self, start_worker: Start, copying_adapter: Write, tmp_path: Path, out: Path
    ) -> None:
        tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
        soundfile.write(tmp_path / "tone.wav", tone, 48_000, subtype="FLOAT")
        worker = start_worker(copying_adapter(sample_rate="44100"))
        worker.start()
        worker.separate(tmp_path / "tone.wav", out, sample_rate="source")
        returned = soundfile.read(out / "copy.wav")[0]
        assert np.abs(returned - tone)[2000:-2000].max() < 1e-5


def test_a_full_disk(start_worker: Start, copying_adapter: Write, write_track: Write, out: Path) -> None:
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    mount = ("sh", "-c", f'mount -t tmpfs -o size=256k none "{out}" && exec "$@"', "sh")
    if shutil.which("unshare") is None or subprocess.run([*namespace, *mount, "true"], check=False).returncode:
        pytest.skip("no mount namespace to put a small file system in")
    worker = start_worker(copying_adapter(), (*namespace, *mount))
    worker.start()
    track = write_track(frames=200_000)
    for name in ("wav", "flac", "mp3", "opus", "m4a"):
        with pytest.raises(worker.Error) as raised:
            worker.separate(track, out, format=name)
        assert raised.value.kind == "no_space"
    # Every partial file is gone: there is room again.
    worker.separate(write_track(frames=10_000), out)
    worker.call("shutdown", {})
    worker.wait()
    assert "Exception ignored" not in worker.log


def test_a_limit_on_file_size(start_worker: Start, copying_adapter: Write, write_track: Write, out: Path) -> None:
    worker = start_worker(copying_adapter(), ("sh", "-c", 'ulimit -f 128; exec "$@"', "sh"))
    worker.start()
    with pytest.raises(worker.Error) as raised:
        worker.separate(write_track("t.flac", frames=44100), out)
    assert raised.value.kind == "output_failed"
    assert "limit on file size" in raised.value.data["hint"]
    assert not list(out.iterdir())
