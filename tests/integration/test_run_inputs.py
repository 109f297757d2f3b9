"""Bad input, all in one run: each file has its own clear answer, and no good one is lost for a bad one beside it."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.conftest import Cli, files_below, leftovers, noise, valid

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("inputs")]

GOOD: dict[str, dict[str, Any]] = {
    "first.wav": {},
    "mono.wav": {"channels": 1},
    "8khz.wav": {"rate": 8000},
    "192khz.wav": {"rate": 192000},
    "tenth.wav": {"seconds": 0.1},
    "one sample.wav": {"seconds": 1 / 44100},
    "song.flac": {},
    "song.mp3": {},
    "song.ogg": {},
    "song.aiff": {},
    "last.wav": {},
}
"""Files that must be separated, and how they are made; the first and the last stand around all that is bad."""

BAD = {
    "missing.wav": ("input_missing", "does not exist"),
    "empty.wav": ("input_empty", "no bytes"),
    "header.wav": ("input_empty", "no samples"),
    "no frames.wav": ("input_empty", "no samples"),
    "text.wav": ("input_unreadable", "text.wav"),
    "random.mp3": ("input_unreadable", "random.mp3"),
    "picture.png": ("input_unreadable", "no audio track"),
    "archive.wav": ("input_unreadable", "archive.wav"),
    "beginning.wav": ("input_unreadable", "beginning.wav"),
    "beginning.flac": ("input_unreadable", "beginning.flac"),
    "beginning.mp3": ("input_unreadable", "beginning.mp3"),
    "beginning.ogg": ("input_unreadable", "beginning.ogg"),
    "all nan.wav": ("input_nonfinite", "every sample"),
    "no channels.wav": ("input_unreadable", "no channels.wav"),
    "seven.wav": ("input_channels", "7 channels"),
    "device": ("input_unreadable", "not a file"),
    "dangling.wav": ("input_missing", "does not exist"),
}
"""Files that cannot be separated: the code of the answer, and words in it."""

DOUBTFUL = {
    "cut.wav": "input_truncated",
    "cut.flac": "input_truncated",
    "cut.aiff": "input_truncated",
    "silent.wav": "input_silent",
    "some nan.wav": "input_nonfinite_samples",
    "infinite.wav": "input_nonfinite_samples",
}
"""Files that are separated with a warning."""

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63f8ffff3f0005fe02fea72d0b0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")

    def write(name: str, audio: Any = None, rate: int = 44100, **options: Any) -> bytes:
        subtype = options.pop("subtype", None)
        soundfile.write(folder / name, noise(rate=rate, **options) if audio is None else audio, rate, subtype=subtype)
        return (folder / name).read_bytes()

    for name, options in GOOD.items():
        write(name, **options)
    whole = {suffix: write(f"whole.{suffix}") for suffix in ("wav", "flac", "mp3", "ogg", "aiff")}
    for suffix in ("wav", "flac", "aiff"):
        (folder / f"cut.{suffix}").write_bytes(whole[suffix][: len(whole[suffix]) // 2])
    for suffix in ("wav", "flac", "mp3", "ogg"):
        (folder / f"beginning.{suffix}").write_bytes(whole[suffix][:20])
    (folder / "empty.wav").touch()
    (folder / "header.wav").write_bytes(whole["wav"][:44])
    write("no frames.wav", np.zeros((0, 2)))
    (folder / "text.wav").write_text("This is no music.\n" * 500)
    (folder / "random.mp3").write_bytes(np.random.default_rng(3).bytes(50_000))
    (folder / "picture.png").write_bytes(PICTURE)
    with zipfile.ZipFile(folder / "archive.wav", "w") as archive:
        archive.writestr("song.txt", "la " * 5000)
    holes = noise().astype(np.float32)
    write("all nan.wav", np.full_like(holes, np.nan), subtype="FLOAT")
    holes[1000:1100] = np.nan
    write("some nan.wav", holes, subtype="FLOAT")
    holes[1000:1100] = np.inf
    write("infinite.wav", holes, subtype="FLOAT")
    write("silent.wav", np.zeros((22050, 2)))
    write("seven.wav", channels=7)
    channels_at = whole["wav"].index(b"fmt ") + 10
    no_channels = whole["wav"][:channels_at] + struct.pack("<H", 0) + whole["wav"][channels_at + 2 :]
    (folder / "no channels.wav").write_bytes(no_channels)
    (folder / "device").symlink_to(os.devnull)
    (folder / "dangling.wav").symlink_to("nowhere.wav")
    return folder


@pytest.fixture(scope="module")
def answered(folder: Path, environ: dict[str, str], dsp_home: Path) -> tuple[Any, str, Path]:
    """The record of one run of all of these, what was said for people, and the output folder."""
    cli = Cli(folder, environ)
    names = [*BAD, *DOUBTFUL]
    names[3:3], names[9:9] = [*GOOD][:5], [*GOOD][5:-1]
    done = cli("run", "dsp-hpss", *names, [*GOOD][-1], "-o", "out", "--json")
    record = done.document("run")
    assert (done.code, record["exit_code"], record["status"]) == (2, 2, "failed")
    assert json.loads((folder / "out" / "run.json").read_bytes()) == record
    return record, done.err, folder / "out"


def track_of(record: Any, name: str) -> Any:
    return next(track for track in record["tracks"] if Path(track["input"]["path"]).name == name)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_a_clear_answer_and_no_output(answered: tuple[Any, str, Path], name: str) -> None:
    record, said, out = answered
    track = track_of(record, name)
    code, words = BAD[name]
    assert (track["status"], track["exit_code"], track["error"]["code"]) == ("failed", 2, code)
    assert words in track["error"]["message"]
    assert f"{name}: {track['error']['message']} ({code})" in said
    assert track["outputs"] == []
    assert not [made for made in files_below(out) if f"/{Path(name).stem}/" in made and "." not in name]


@pytest.mark.parametrize("name", [*GOOD, *DOUBTFUL])
def test_good_input_beside_bad_has_all_its_stems(answered: tuple[Any, str, Path], folder: Path, name: str) -> None:
    record, _, out = answered
    track = track_of(record, name)
    assert track["status"] == "done"
    assert [made["stem"] for made in track["outputs"]] == ["harmonic", "percussive"]
    rate = GOOD.get(name, {}).get("rate", 44100)
    for made in track["outputs"]:
        stem = soundfile.info(out / made["path"])
        assert (stem.frames, stem.samplerate, stem.channels) == (track["frames"], rate, track["input"]["channels"])
    beside = json.loads((out / track["record"]).read_bytes())
    assert valid(beside, "run")["tracks"] == [track]
    if name in GOOD and not name.endswith(".mp3"):
        assert track["frames"] == soundfile.info(folder / name).frames


@pytest.mark.parametrize(("name", "code"), DOUBTFUL.items())
def test_doubtful_input_is_separated_with_a_warning(answered: tuple[Any, str, Path], name: str, code: str) -> None:
    record, said, out = answered
    track = track_of(record, name)
    assert [warning["code"] for warning in track["warnings"]] == [code]
    assert track["warnings"][0]["message"] in said
    for made in track["outputs"]:
        audio, _ = soundfile.read(out / made["path"])
        assert np.isfinite(audio).all()
        assert not audio.any() or name != "silent.wav"


def test_only_stems_and_records_of_good_input_are_there(answered: tuple[Any, str, Path]) -> None:
    record, _, out = answered
    wanted = {"run.json"}
    for track in record["tracks"]:
        wanted |= {made["path"] for made in track["outputs"]} | ({track["record"]} if track["record"] else set())
    assert set(files_below(out)) == wanted
    assert leftovers(out.parent) == []


def test_a_single_bad_input_ends_with_its_code(cli: Cli, write: Callable[..., Path]) -> None:
    (cli.cwd / "empty.wav").touch()
    done = cli("run", "dsp-hpss", "empty.wav", "-o", "out")
    assert (done.code, done.out) == (2, "")
    assert "no bytes (input_empty)" in done.err


def test_where_all_input_is_missing_nothing_is_built(cli: Cli, empty_home: Path) -> None:
    done = cli("run", "dsp-hpss", "a.wav", "b.wav", "-o", "out", "--json", STEMSEP_ENV_HOME=str(empty_home))
    record = done.document("run")
    assert (done.code, record["environment"]) == (2, None)
    assert [track["error"]["code"] for track in record["tracks"]] == ["input_missing"] * 2
    assert not (empty_home / "environments").exists()


def test_fail_fast_stops_and_keep_going_does_not(cli: Cli, write: Callable[..., Path]) -> None:
    for name in ("a.wav", "c.wav"):
        write(name, seconds=0.1)
    (cli.cwd / "b.wav").touch()
    names = ("a.wav", "b.wav", "c.wav")
    stopped = cli("run", "dsp-hpss", *names, "-o", "stopped", "--fail-fast", "--json")
    assert (stopped.code, [track["status"] for track in stopped.document("run")["tracks"]]) == (2, ["done", "failed"])
    went_on = cli("run", "dsp-hpss", *names, "-o", "went on", "--keep-going", "--json")
    assert [track["status"] for track in went_on.document("run")["tracks"]] == ["done", "failed", "done"]


def test_quiet_still_tells_of_errors_and_warnings(cli: Cli, write: Callable[..., Path]) -> None:
    write("silent.wav", np.zeros((4410, 2)))
    write("song.wav", seconds=0.1)
    done = cli("run", "dsp-hpss", "song.wav", "silent.wav", "missing.wav", "-o", "out", "-q")
    assert "(input_silent)" in done.err
    assert "(input_missing)" in done.err
    assert "song.wav" not in done.err


def test_a_mono_file_does_not_fit_a_stereo_model(cli: Cli, write: Callable[..., Path]) -> None:
    write("mono.wav", channels=1, seconds=0.1)
    track = cli("run", "dsp-centre-side", "mono.wav", "-o", "out", "--json").track()
    assert (track["error"]["code"], track["exit_code"]) == ("input_channels", 2)
    assert "1 channel" in track["error"]["message"]


def test_registry_word_on_mono_overrides_the_engine(
    cli: Cli, write: Callable[..., Path], plant: Callable[..., Path]
) -> None:
    write("mono.wav", channels=1, seconds=0.1)
    write("stereo.wav", seconds=0.1)
    registry = plant(capabilities__supports_mono=False)
    run = ("run", "planted", "mono.wav", "stereo.wav", "-o", "out", "--registry", registry, "--json")
    mono, stereo = cli(*run).document("run")["tracks"]
    assert (mono["status"], mono["error"]["code"], stereo["status"]) == ("failed", "input_channels", "done")
    assert files_below(cli.cwd / "out" / "planted") == [
        "stereo/harmonic.wav",
        "stereo/percussive.wav",
        "stereo/run.json",
    ]
    warned = cli(*run, "--enforce", "warn")
    record = warned.document("run")
    assert (warned.code, record["enforcement"], record["tracks"][0]["status"]) == (0, "warn", "done")
    assert [warning["code"] for warning in record["tracks"][0]["warnings"]] == ["input_channels"]
