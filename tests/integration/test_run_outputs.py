"""What is written: formats, rates, ranges, stems that add up, and a record that tells all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from tests.integration.conftest import Cli, files_below, noise, valid

pytestmark = pytest.mark.integration

Audio = npt.NDArray[np.float64]


def stems_of(cli: Cli, track: Any, out: str = "out") -> dict[str, Audio]:
    """The audio of each stem of a track."""
    return {made["stem"]: soundfile.read(cli.cwd / out / made["path"], always_2d=True)[0] for made in track["outputs"]}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("model", ["dsp-hpss", "dsp-hpr", "dsp-centre-side"])
def test_the_stems_add_up_to_the_input(cli: Cli, song: Path, model: str) -> None:
    track = cli("run", model, song, "-o", "out", "--json").track()
    stems = stems_of(cli, track)
    mix, _ = soundfile.read(song)
    assert np.abs(sum(stems.values()) - mix).max() < 1e-6
    assert all(np.abs(stem).max() > 0.001 for stem in stems.values())
    assert {stem.shape for stem in stems.values()} == {mix.shape}


def test_the_record_tells_what_is_there(cli: Cli, song: Path, dsp_home: Path) -> None:
    run = ("run", "dsp-hpss", "song.wav", "-o", "out", "--overlap", "0.5", "--set", "mask_power=1", "--json")
    record = cli(*run).document("run")
    (track,) = record["tracks"]
    assert (record["status"], record["exit_code"], track["status"], track["exit_code"]) == ("done", 0, "done", 0)
    assert track["input"]["path"] == str(song)
    assert (track["input"]["sha256"], track["input"]["size_bytes"]) == (sha256(song), song.stat().st_size)
    assert (track["input"]["container"], track["input"]["subtype"]) == ("WAV", "PCM_24")
    for made in track["outputs"]:
        path = cli.cwd / "out" / made["path"]
        assert (made["sha256"], made["size_bytes"]) == (sha256(path), path.stat().st_size)
        audio, rate = soundfile.read(path)
        assert (made["frames"], made["channels"], made["sample_rate"]) == (*audio.shape, rate)
        assert made["peak"] == pytest.approx(np.abs(audio).max())
    settings = {
        name: (setting["value"], setting["unit"], setting["source"]) for name, setting in record["settings"].items()
    }
    assert settings["overlap"] == (0.5, "ratio", "command line")
    assert settings["mask_power"] == (1.0, "exponent", "command line")
    assert settings["window_seconds"][1:] == ("seconds", "runtime default")
    receipt = json.loads((dsp_home / "environments" / record["environment"]["digest"] / "receipt.json").read_bytes())
    assert record["environment"]["python"] == receipt["inputs"]["interpreter"]["version"]
    assert record["sandbox"]["level"] in {"namespaces", "landlock", "hygiene"}
    assert track["peak_memory_bytes"] > 1 << 20
    assert track["timings"]["total_seconds"] >= track["timings"]["worker_seconds"] > 0
    kept = dsp_home / "runs" / record["run_id"] / "run.json"
    beside, of_track = cli.cwd / "out" / "run.json", cli.cwd / "out" / track["record"]
    assert json.loads(kept.read_bytes()) == json.loads(beside.read_bytes()) == record
    assert valid(json.loads(of_track.read_bytes()), "run")["tracks"] == [track]


def test_twice_the_same_bytes(cli: Cli, song: Path) -> None:
    one, two = (cli("run", "dsp-hpss", song, "-o", name, "--json").document("run") for name in ("one", "two"))
    assert [made["sha256"] for made in one["tracks"][0]["outputs"]] == [
        made["sha256"] for made in two["tracks"][0]["outputs"]
    ]
    assert one["settings_digest"] == two["settings_digest"]
    assert one["run_id"] != two["run_id"]


def test_the_output_folder_can_be_moved(cli: Cli, song: Path) -> None:
    cli("run", "dsp-hpss", song, "-o", "out")
    (cli.cwd / "out").rename(cli.cwd / "moved")
    assert cli("run", "dsp-hpss", song, "-o", "moved", "--json").track()["status"] == "skipped"


@pytest.mark.parametrize(
    ("options", "subtype"),
    [
        (["--format", "wav"], "FLOAT"),
        (["--format", "wav", "--bit-depth", "32f"], "FLOAT"),
        (["--format", "wav", "--bit-depth", "24"], "PCM_24"),
        (["--format", "wav", "--bit-depth", "16"], "PCM_16"),
        (["--format", "flac"], "PCM_24"),
        (["--format", "flac", "--bit-depth", "16"], "PCM_16"),
        (["--format", "mp3"], None),
        (["--format", "opus", "--sample-rate", "48000"], None),
        (["--format", "m4a"], None),
    ],
)
def test_formats(cli: Cli, song: Path, options: list[str], subtype: str | None) -> None:
    track = cli("run", "dsp-hpss", song, "-o", "out", *options, "--json").track()
    assert track["status"] == "done", track
    mix, rate = soundfile.read(song)
    for made in track["outputs"]:
        path = cli.cwd / "out" / made["path"]
        assert path.suffix == f".{options[1]}"
        assert made["channels"] == 2
        if subtype:
            info = soundfile.info(path)
            assert (info.subtype, info.frames, made["subtype"]) == (subtype, len(mix), subtype)
    decoded = cli("run", "dsp-hpss", cli.cwd / "out" / track["outputs"][0]["path"], "-o", "again", "--json").track()
    assert decoded["status"] == "done", decoded
    assert abs(decoded["input"]["duration_seconds"] - len(mix) / rate) < (0.2 if subtype is None else 1e-9)


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "aac"],
        ["--format", "WAV"],
        ["--bit-depth", "8"],
        ["--format", "mp3", "--bit-depth", "16"],
        ["--format", "flac", "--bit-depth", "32f"],
        ["--sample-rate", "12"],
        ["--sample-rate", "nan"],
        ["--start", "-1"],
        ["--start", "nan"],
        ["--duration", "0"],
        ["--duration", "inf"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--stems", ""],
        ["--stems", "harmonic,,percussive"],
        ["--stems", "harmonic,harmonic"],
        ["--existing", "maybe"],
        ["--no-such-option"],
    ],
)
def test_wrong_options(cli: Cli, song: Path, options: list[str]) -> None:
    cli("run", "dsp-hpss", song, "-o", "out", *options, "--json").error("usage", 2)
    assert not (cli.cwd / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--set", "nonsense=1"], "setting_unknown", "mask_power"),
        (["--set", "mask_power"], "setting_invalid", "NAME=VALUE"),
        (["--set", "mask_power=loud"], "setting_invalid", "must be a number"),
        (["--set", "mask_power=-5"], "setting_invalid", "at least"),
        (["--set", "window_seconds=99"], "setting_invalid", "at most"),
        (["--overlap", "7"], "overlap_unusable", "below 1"),
        (["--overlap", "0.5", "--set", "overlap=0.6"], "setting_invalid", "already"),
        (["--shifts", "2"], "setting_unknown", "shifts"),
        (["--tta"], "setting_unknown", "tta"),
        (["--stems", "vocals"], "stem_unknown", "harmonic"),
        (["--target", "nonsense-cpu"], "target_unknown", "linux-x86_64"),
        (["--target", ""], "target_unknown", "linux-x86_64"),
    ],
)
def test_wrong_settings(cli: Cli, song: Path, options: list[str], code: str, words: str) -> None:
    error = cli("run", "dsp-hpss", song, "-o", "out", *options, "--json").error(code, 2)
    assert words in f"{error['message']} {error['hint']}"
    assert not (cli.cwd / "out").exists()


def test_only_the_stems_that_were_asked_for(cli: Cli, song: Path) -> None:
    track = cli("run", "dsp-hpr", song, "-o", "out", "--stems", "residual, harmonic", "--json").track()
    assert [made["stem"] for made in track["outputs"]] == ["residual", "harmonic"]
    assert files_below(cli.cwd / "out" / "dsp-hpr" / "song") == ["harmonic.wav", "residual.wav", "run.json"]
    whole = cli("run", "dsp-hpr", song, "-o", "whole", "--json").track()
    digests = {made["stem"]: made["sha256"] for made in whole["outputs"]}
    assert all(digests[made["stem"]] == made["sha256"] for made in track["outputs"])


@pytest.mark.parametrize(("asked", "rate"), [("source", 44100), ("model", 44100), ("22050", 22050), ("48000", 48000)])
def test_sample_rates(cli: Cli, song: Path, asked: str, rate: int) -> None:
    track = cli("run", "dsp-hpss", song, "-o", "out", "--sample-rate", asked, "--json").track()
    frames = soundfile.info(song).frames
    for made in track["outputs"]:
        info = soundfile.info(cli.cwd / "out" / made["path"])
        assert (info.samplerate, made["sample_rate"]) == (rate, rate)
        assert abs(info.frames - frames * rate / 44100) <= 1


def test_a_part_of_the_input(cli: Cli, write: Callable[..., Path]) -> None:
    audio = noise(2)
    write("song.wav", audio, subtype="FLOAT")
    run = ("run", "dsp-hpss", "song.wav", "--json")
    track = cli(*run, "-o", "out", "--start", "0.5", "--duration", "1").track()
    assert (track["start_frame"], track["frames"]) == (22050, 44100)
    assert np.abs(sum(stems_of(cli, track).values()) - audio[22050 : 22050 + 44100]).max() < 1e-6
    rest = cli(*run, "-o", "rest", "--start", "1.75", "--duration", "9").track()
    assert (rest["start_frame"], rest["frames"]) == (77175, 11025)
    beyond = cli(*run, "-o", "beyond", "--start", "2").track()
    assert (beyond["status"], beyond["error"]["code"], beyond["exit_code"]) == ("failed", "range_empty", 2)


def test_gain_is_one_for_all_stems_and_told(cli: Cli, write: Callable[..., Path]) -> None:
    loud = np.clip(noise(level=3.0), -0.99, 0.99)
    write("loud.wav", loud, subtype="FLOAT")
    run = ("run", "dsp-hpss", "loud.wav", "--json")
    plain = cli(*run, "-o", "plain").track()
    assert (plain["gain"], plain["gain_reason"]) == (1.0, None)
    peak = max(made["peak"] for made in plain["outputs"])
    assert peak > 1.0
    integer = cli(*run, "-o", "integer", "--bit-depth", "16").track()
    assert integer["gain_reason"] == "clipping"
    assert integer["gain"] <= 1 / peak
    normal = cli(*run, "-o", "normal", "--normalize").track()
    assert normal["gain_reason"] == "normalize"
    assert normal["gain"] * peak == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    assert max(made["peak"] for made in normal["outputs"]) == pytest.approx(peak)
    stems, kept = stems_of(cli, normal, "normal"), stems_of(cli, plain, "plain")
    for stem, audio in stems.items():
        assert np.abs(audio - normal["gain"] * kept[stem]).max() < 1e-6
    for stem, audio in stems_of(cli, integer, "integer").items():
        assert np.abs(audio - integer["gain"] * kept[stem]).max() < 1e-4


def test_a_track_that_takes_too_long(cli: Cli, write: Callable[..., Path]) -> None:
    write("long.wav", seconds=60)
    write("short.wav", seconds=0.05)
    done = cli("run", "dsp-hpss", "long.wav", "short.wav", "-o", "out", "--timeout", "0.5", "--json")
    long, short = done.document("run")["tracks"]
    assert (done.code, long["error"]["code"], long["exit_code"]) == (7, "deadline", 7)
    assert short["status"] == "done"
    assert not (cli.cwd / "out" / "dsp-hpss" / "long").exists()


def test_events_are_lines_of_the_schema(cli: Cli, write: Callable[..., Path]) -> None:
    for name in ("a.wav", "b.wav"):
        write(name, seconds=0.3)
    done = cli("run", "dsp-hpss", "a.wav", "nowhere.wav", "b.wav", "-o", "out", "--events", "jsonl", "--json")
    events = [valid(json.loads(line), "event") for line in done.err.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[-1] == "finished"
    assert events[-1]["exit_code"] == done.code == 2
    assert kinds.index("session_started") < kinds.index("track_started") < kinds.index("track_finished")
    finished = [event for event in events if event["event"] == "track_finished"]
    assert [event["place"]["index"] for event in finished] == [0, 1, 2]
    assert {event["place"]["count"] for event in finished} == {3}
    tracks = done.document("run")["tracks"]
    assert [event["track"]["status"] for event in finished] == [track["status"] for track in tracks]
    progress = [event for event in events if event["event"] == "progress"]
    for stage in ("separate", "encode"):
        steps = [event for event in progress if event["stage"] == stage and event["place"]["index"] == 0]
        counts = [event["done_frames"] for event in steps]
        assert counts == sorted(counts)
        assert counts[-1] == steps[-1]["total_frames"]


def test_a_dry_run_does_nothing(cli: Cli, song: Path, empty_home: Path) -> None:
    run = ("run", "dsp-hpss", "song.wav", "nowhere.wav", "-o", "out", "--dry-run")
    done = cli(*run, "--json", STEMSEP_ENV_HOME=str(empty_home))
    report = done.document("run.dry")
    assert done.code == 0
    assert report["preflight"]["resolved"]["environment"]["state"] == "to_build"
    assert [(track["action"], len(track["outputs"])) for track in report["tracks"]] == [("separate", 2), ("fail", 2)]
    assert report["tracks"][1]["error"]["code"] == "input_missing"
    assert files_below(cli.cwd) == ["song.wav"]
    assert not (empty_home / "environments").exists()
    told = cli(*run, STEMSEP_ENV_HOME=str(empty_home))
    assert "separate" in told.out
    assert "dsp-hpss/song/harmonic.wav" in told.out
    cli("run", "dsp-hpss", "song.wav", "-o", "out")
    assert cli(*run, "--json").document("run.dry")["tracks"][0]["action"] == "skip"
