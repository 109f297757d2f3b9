"""Showing events: a bar on a terminal, plain lines into a pipe, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stemsep_envs.cli.console import Console, human_bytes, human_seconds
from stemsep_envs.documents.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress, TaskID

    from stemsep_envs.documents.events import Event, FileTransfer
    from stemsep_envs.documents.reports import Finding
    from stemsep_envs.documents.run import RunTrack

    OnEvent = Callable[[Event], None]


Verb = TypeVar("Verb", bound=Callable[..., Any])

_JSON_LINES = "jsonl"

_TELL_SECONDS = 10.0
"""How often a line tells how far downloads are where there is no terminal."""


def events_option(function: Verb) -> Verb:
    """Add ``--events``."""
    return click.option(
        "--events", "event_style", type=click.Choice([_JSON_LINES]), help="Write events to stderr, one JSON a line."
    )(function)


@contextmanager
def shown_events(console: Console, style: str | None) -> Iterator[OnEvent]:
    """Yield the function that shows events on stderr.

    Args:
        console: How this invocation prints.
        style: ``jsonl`` for one JSON document a line; None for people.
    """
    if style == _JSON_LINES:
        yield _json_line
    elif console.quiet:
        yield _warn
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield BarDisplay(progress)
    else:
        yield PlainDisplay()


class PlainDisplay:
    """Shows events as lines: of those that come many times a second, one now and then."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        now = time.monotonic()
        if event.event == "fetch" and event.transfers and now - self._told_at > _TELL_SECONDS:
            self._told_at = now
            for transfer in event.transfers:
                click.echo(f"  {transfer_line(transfer)}", err=True)
        plain_line(event)


def transfer_line(transfer: FileTransfer) -> str:
    """Say how far the fetching of a file is: ``model.ckpt: 120 MiB of 860 MiB, 11 MiB/s``."""
    if transfer.note is not None:
        return f"{visible(transfer.filename)}: {visible(transfer.note)}"
    total = f" of {human_bytes(transfer.total_bytes)}" if transfer.total_bytes is not None else ""
    speed = f", {human_bytes(transfer.bytes_per_second)}/s" if transfer.bytes_per_second else ""
    return f"{visible(transfer.filename)}: {human_bytes(transfer.done_bytes)}{total}{speed}"


def plain_line(event: Event) -> None:
    """Write an event as a line, or not at all when it is one of many."""
    if event.event == "step" and event.message:
        click.echo(f"{visible(event.message)} ...", err=True)
    elif event.event == "track_finished":
        click.echo(track_line(event), err=True)
    else:
        _warn(event)


def track_line(event: Event) -> str:
    """Say how a track ended: ``[2/5] song.flac: 2 stems in 3.1 s``."""
    track, where = event.track, event.place
    if track is None or where is None:
        return ""
    place = f"[{where.index + 1}/{where.count}] {visible(Path(where.input).name)}"
    if track.status == "skipped":
        return f"{place}: already there, unchanged"
    if track.error is not None:
        hint = "".join(f"\n    {visible(line)}" for line in (track.error.hint or "").splitlines())
        return f"{place}: {_told(track.error)}{hint}"
    took = human_seconds(track.timings.total_seconds) if track.timings else "no time"
    gain = f", gain {track.gain:.3f} against {track.gain_reason}" if track.gain_reason == "clipping" else ""
    return f"{place}: {len(track.outputs)} stems in {took}{gain}{_notes(track)}"


def _notes(track: RunTrack) -> str:
    return "".join(f"\n    note: {_told(warning)}" for warning in track.warnings)


def _told(finding: Finding) -> str:
    return visible(f"{finding.message} ({finding.code})")


class BarDisplay:
    """Shows events as a progress bar with finished lines above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._transfers: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.event == "step" and event.message:
            self._begin(visible(event.message), total=None)
        elif event.event == "fetch":
            self._show_transfers(event.transfers or ())
        elif event.event == "track_started" and event.place is not None:
            place = f"{event.place.index + 1}/{event.place.count}"
            self._begin(f"{visible(Path(event.place.input).name)} ({place})", total=None)
        elif event.event == "progress" and self._task is not None:
            self._progress.update(self._task, completed=event.done_frames, total=event.total_frames)
        elif event.event == "track_finished":
            self._end()
            self._progress.console.print(track_line(event), highlight=False, markup=False)
        elif event.event in {"warning", "log"}:
            _warn(event)
        elif event.event == "finished":
            self._end()

    def _show_transfers(self, transfers: Sequence[FileTransfer]) -> None:
        """Show a bar for each file that is being fetched; those of files that ended go."""
        names = {transfer.filename for transfer in transfers}
        for name in self._transfers.keys() - names:
            self._progress.remove_task(self._transfers.pop(name))
        if transfers and self._task is not None:  # their bars say it better
            self._progress.remove_task(self._task)
            self._task = None
        for transfer in transfers:
            if transfer.filename not in self._transfers:
                self._transfers[transfer.filename] = self._progress.add_task("", total=None)
            self._progress.update(
                self._transfers[transfer.filename],
                description=transfer_line(transfer),
                completed=transfer.done_bytes,
                total=transfer.total_bytes,
            )

    def _begin(self, description: str, total: int | None) -> None:
        self._end()
        self._task = self._progress.add_task(description, total=total)

    def _end(self) -> None:
        self._show_transfers(())
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def _bar() -> Progress:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=RichConsole(stderr=True),
        transient=True,
    )


def _json_line(event: Event) -> None:
    from stemsep_envs.documents.writing import json_text

    click.echo(json_text(event, indent=None, without_nulls=True), err=True)


def _warn(event: Event) -> None:
    """Show what an event tells of warnings and errors, and nothing else."""
    if event.event == "warning" and event.finding is not None:
        click.echo(f"warning: {_told(event.finding)}", err=True)
    elif event.event == "track_finished" and event.track is not None and (event.track.error or event.track.warnings):
        click.echo(track_line(event), err=True)
