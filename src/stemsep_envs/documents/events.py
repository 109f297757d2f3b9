"""What happens during a long command: a JSON document a line with ``--events jsonl``, else a progress bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunTrack

EventKind = Literal[
    "step", "fetch", "session_started", "track_started", "progress", "track_finished", "log", "warning", "finished"
]


class TrackPlace(Document):
    """Which input an event is about: its index, counting from 0, how many there are, and its path."""

    index: int
    count: int
    input: str


class FileTransfer(Document):
    """How far the fetching of one file is. ``total_bytes`` is null while the size is not known.

    ``note`` says why nothing comes at the moment: another process fetches it, or its host is asked again in a while.
    """

    filename: str
    done_bytes: int
    total_bytes: int | None
    bytes_per_second: int
    note: str | None = None


class Event(Document):
    """One thing that happened. Fields that do not belong to its kind are null.

    Attributes:
        event: What kind of thing.
        step: For ``step``: ``resolve``, ``lock``, ``interpreter``, ``build``, ``health``, ``start``, ``load``, ...
        message: In words, for people.
        place: Which input it is about.
        stage: For ``progress``: ``separate`` or ``encode``.
        done_frames: Frames done in this stage.
        total_frames: Frames in this stage, null while unknown.
        track: For ``track_finished``: the track's part of the record.
        finding: For ``warning``: what is doubtful.
        level: For ``log``: the adapter's own level.
        transfers: For ``fetch``: the files that are being fetched.
        exit_code: For ``finished``.
    """

    event: EventKind
    step: str | None = None
    message: str | None = None
    place: TrackPlace | None = None
    stage: str | None = None
    done_frames: int | None = None
    total_frames: int | None = None
    track: RunTrack | None = None
    finding: Finding | None = None
    level: str | None = None
    transfers: tuple[FileTransfer, ...] | None = None
    exit_code: int | None = None


OnEvent = Callable[[Event], None]
"""Told of each step, and of a worker's log and progress, as it comes."""


def ignore_event(_: Event) -> None:
    """Tell nobody."""


def step_reporter(on_event: OnEvent) -> Callable[[str, str], None]:
    """Return what reports a step (its name, and what it does in words) as an event."""
    return lambda step, words: on_event(Event(event="step", step=step, message=words))
