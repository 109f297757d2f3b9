"""Workers that do all that they can to hold up the run, or to reach the terminal through what they say."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.conftest import CHECKOUT, Cli

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="the adapter writes to its descriptors as POSIX has them"),
]

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"

ADAPTER = """
import json, os, sys, time
import numpy as np

STEER = "{steer}"

def describe():
    return {{"packages": [], "devices": ["cpu"]}}

def raw(context, message):
    line = json.dumps({{"jsonrpc": "2.0", **message}}).encode() + b"\\n"
    outbox = context._notify.__self__
    with outbox._lock:
        view = memoryview(line)
        while view:
            view = view[os.write(outbox._descriptor, view):]

def copy(source, sinks):
    audio = source.read_all()
    for sink in sinks.values():
        sink.write(audio)

def load(request, context):
{load}
    return Model()

class Model:
    stems = ["harmonic", "percussive"]
    sample_rate = None
    channels = [1, 2]
    settings = {{"name" + STEER: "value" + STEER}}

    def separate(self, source, sinks, context):
{separate}
"""
STEER = "\\x1b[31m\\x9b\\x7f\\u202e\\u2028\\u2066\\x07"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

Hostile = Callable[..., Cli]


@pytest.fixture
def hostile(cli: Cli, tmp_path: Path) -> Hostile:
    """The command line with an adapter of dsp that does this while it loads and separates."""

    def make(*, load: str = "pass", separate: str = "copy(source, sinks)") -> Cli:
        runtimes = tmp_path / "runtimes"
        shutil.copytree(CHECKOUT / "runtimes" / "dsp", runtimes / "dsp", dirs_exist_ok=True)
        text = ADAPTER.format(
            steer=STEER, load=textwrap.indent(load, " " * 4), separate=textwrap.indent(separate, " " * 8)
        )
        (runtimes / "dsp" / "adapter.py").write_text(text)
        return Cli(cli.cwd, cli.environ, (sys.executable, PROGRAMS / "with_runtimes.py", runtimes))

    return make


def songs(song: Path, count: int) -> list[Path]:
    """The song and copies of it."""
    return [song, *(Path(shutil.copy(song, song.with_name(f"song{number}.wav"))) for number in range(1, count))]


TALKS = 'while True:\n    context.log("info", "still here")\n    time.sleep(0.01)'


def test_a_model_that_talks_for_ever_while_it_loads(hostile: Hostile, song: Path) -> None:
    error = hostile(load=TALKS)("run", "dsp-hpss", song, "-o", "out", "--timeout", "3", "--json").error("deadline", 7)
    assert "did not finish load within 3 s" in error["message"]


def test_tracks_that_hang_are_each_ended_and_recorded(hostile: Hostile, song: Path) -> None:
    cli = hostile(separate=TALKS)
    done = cli("run", "dsp-hpss", *songs(song, 5), "-o", "out", "--timeout", "3", "--json")
    record = done.document("run")
    assert (done.code, record["status"], record["exit_code"]) == (7, "failed", 7)
    assert [track["error"]["code"] for track in record["tracks"]] == ["deadline"] * 5
    assert json.loads((cli.cwd / "out" / "run.json").read_bytes()) == record


def test_after_too_many_crashes_the_rest_is_recorded_as_failed(hostile: Hostile, song: Path) -> None:
    cli = hostile(separate="os._exit(3)")
    done = cli("run", "dsp-hpss", *songs(song, 5), "-o", "out", "--json")
    record = done.document("run")
    assert (done.code, record["status"], record["exit_code"]) == (1, "failed", 1)
    assert [track["error"]["code"] for track in record["tracks"]] == ["worker_died"] * 3 + ["crash_loop"] * 2
    assert record["tracks"][-1]["error"]["message"] == "the worker died 3 times in a row and is not started again"
    assert json.loads((cli.cwd / "out" / "run.json").read_bytes()) == record


def test_a_line_that_is_dear_to_read_ends_the_worker(hostile: Hostile, song: Path) -> None:
    many = 'raw(context, {"id": 1, "result": {**{f"k{number}": 1 for number in range(70000)}}})'
    done = hostile(separate=many)("run", "dsp-hpss", song, "-o", "out", "--json")
    error = done.track()["error"]
    assert (error["code"], done.code) == ("protocol_violation", 1)
    assert "more than 20000 values" in error["message"]


STEERS = """
raw(context, {"method": "log", "params": {"level": "info" + STEER, "message": "said" + STEER}})
raw(context, {"method": "progress", "params": {
    "id": context._request_id, "stage": "separate" + STEER, "done_frames": 1, "total_frames": 2}})
print("printed" + STEER, file=sys.stderr)
copy(source, sinks)
outbox = context._notify.__self__
honest = outbox.reply

def lie(request_id, result):
    result["input"].update(container="wav" + STEER, subtype="PCM" + STEER)
    result["outputs"][0]["subtype"] = "FLOAT" + STEER
    result["warnings"].append({"code": CODE, "message": "careful" + STEER})
    honest(request_id, result)

outbox.reply = lie
"""


@pytest.mark.parametrize("style", [["--json"], ["--events", "jsonl", "--json"], []])
def test_nothing_that_steers_a_terminal_gets_through(hostile: Hostile, song: Path, style: list[str]) -> None:
    cli = hostile(separate='CODE = "input_silent"\n' + STEERS)
    done = cli("run", "dsp-hpss", song, "-o", "out", *style)
    kept = (cli.cwd / "out" / "run.json").read_text()
    assert done.code == 0, done
    assert not STEERING.search(done.out + done.err + kept)
    (track,) = json.loads(kept)["tracks"]
    assert (track["input"]["container"], track["input"]["subtype"]) == ("wav", "PCM")
    assert track["warnings"] == [
        {"code": "input_silent", "message": "careful", "hint": None, "path": None, "details": None}
    ]
    assert track["effective_settings"] == {"name": "value"}


@pytest.mark.parametrize("style", [["--json"], []])
def test_an_error_steers_no_terminal_either(hostile: Hostile, song: Path, style: list[str]) -> None:
    for ends in ('context.fail("model_failed", "because" + STEER, "try" + STEER)', 'CODE = "input" + STEER\n' + STEERS):
        done = hostile(separate=ends)("run", "dsp-hpss", song, "-o", "out", *style)
        assert done.code == 1, done
        assert not STEERING.search(done.out + done.err)


@pytest.mark.parametrize("most", [150, 60])
def test_few_files_may_be_open(cli: Cli, song: Path, most: int) -> None:
    limited = Cli(cli.cwd, cli.environ, ("sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", *cli.prefix))
    assert limited("run", "dsp-hpss", song, "-o", "out", "--json").track()["status"] == "done"
