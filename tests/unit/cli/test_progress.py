"""Showing events: lines for pipes, a bar for terminals, JSON for programs."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console as RichConsole
from rich.progress import Progress

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.progress import BarDisplay, plain_line, shown_events, track_line
from stemsep_envs.documents.events import Event, TrackPlace
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunInput, RunTrack, TrackTimings

PLACE = TrackPlace(index=1, count=5, input="/music/so\x1bng.flac")
TIMINGS = TrackTimings(
    decode_seconds=0, separate_seconds=0, encode_seconds=0, worker_seconds=0, overhead_seconds=0, total_seconds=3.14
)


def finished(status: str, **changes: Any) -> Event:
    track = RunTrack.model_validate(
        {"status": status, "input": RunInput(path=PLACE.input, sha256=None, size_bytes=None), **changes}
    )
    return Event(event="track_finished", track=track, place=PLACE)


DONE = finished("done", timings=TIMINGS, warnings=(Finding(code="input_silent\x1b", message="it is\nsilent"),))
CLIPPED = finished("done", timings=TIMINGS, gain=0.5, gain_reason="clipping")
SKIPPED = finished("skipped")
FAILED = finished("failed", error=Finding(code="input_empty\x9b", message="no \x07bytes", hint="take\nanother"))

LINES = [
    (DONE, "[2/5] so\\x1bng.flac: 0 stems in 3.1 s\n    note: it is\\nsilent (input_silent\\x1b)"),
    (CLIPPED, r"[2/5] so\x1bng.flac: 0 stems in 3.1 s, gain 0.500 against clipping"),
    (SKIPPED, r"[2/5] so\x1bng.flac: already there, unchanged"),
    (FAILED, "[2/5] so\\x1bng.flac: no \\x07bytes (input_empty\\x9b)\n    take\n    another"),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_how_a_track_ended(event: Event, line: str) -> None:
    assert track_line(event) == line


def test_into_a_pipe_there_is_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    plain_line(Event(event="step", step="build", message="building\x1b"))
    plain_line(Event(event="progress", stage="separate", done_frames=1, total_frames=2, place=PLACE))
    plain_line(Event(event="warning", finding=Finding(code="a\x1b", message="careful")))
    plain_line(SKIPPED)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["building\\x1b ...", "warning: careful (a\\x1b)", LINES[2][1]]


def test_quiet_shows_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_events(Console(quiet=True), None) as show:
        for event in (Event(event="step", message="building"), SKIPPED, CLIPPED, DONE, FAILED):
            show(event)
    assert capsys.readouterr().err == f"{LINES[0][1]}\n{LINES[3][1]}\n"


def test_lines_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_events(Console(), "jsonl") as show:
        show(Event(event="finished", exit_code=0))
        show(FAILED)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first == {"event": "finished", "exit_code": 0}
    assert second["track"] == json.loads(FAILED.track.model_dump_json() if FAILED.track else "")


def test_the_bar() -> None:
    screen = io.StringIO()
    console = RichConsole(file=screen, force_terminal=True, width=80, color_system=None)
    with Progress(console=console, auto_refresh=False) as progress:
        show = BarDisplay(progress)
        show(Event(event="step", step="build", message="building\x1b"))
        assert [task.description for task in progress.tasks] == [r"building\x1b"]
        show(Event(event="track_started", place=PLACE))
        show(Event(event="progress", stage="separate", done_frames=3, total_frames=4, place=PLACE))
        (task,) = progress.tasks
        assert (task.description, task.completed, task.total) == (r"so\x1bng.flac (2/5)", 3, 4)
        show(FAILED)
        assert progress.tasks == []
        show(Event(event="finished", exit_code=2))
    assert r"[2/5] so\x1bng.flac: no \x07bytes (input_empty\x9b)" in screen.getvalue()
