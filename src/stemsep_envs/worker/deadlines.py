"""Deadlines of a worker: how long it may take, and the clock of a request that waits for its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from stemsep_envs.documents.protocol import ProgressParams

OnProgress = Callable[[ProgressParams], None]

_STAGES = 16
"""So many stages of one request are told apart; workers have two."""


@dataclass(frozen=True)
class Deadlines:
    """How long a worker may take, in seconds, whatever it says meanwhile.

    Attributes:
        start_seconds: From the first request to its answer.
        load_seconds: For loading the model.
        silence_seconds: Between two signs of progress of a track: progress that goes beyond what was reported before.
        total_seconds: For one track. None: an hour, and 300 times the track's length.
        cancel_seconds: For giving up a cancelled request, before the worker is ended.
        shutdown_seconds: For ending by itself when asked to.
    """

    start_seconds: float = 120.0
    load_seconds: float = 900.0
    silence_seconds: float = 3600.0
    total_seconds: float | None = None
    cancel_seconds: float = 5.0
    shutdown_seconds: float = 5.0


@dataclass
class Request:
    """One request.

    Attributes:
        id: What its answer carries.
        method: What is asked.
        on_progress: Called with each progress.
        cancelled: Set when it is to be given up.
        total_seconds: How long it may take; None: as long as it likes.
        silence_seconds: How long it may get no further; None: as long as it likes.
        cancel_sent_at: When the worker was told of the cancellation.
    """

    id: int
    method: str
    on_progress: OnProgress | None
    cancelled: threading.Event | None
    total_seconds: float | None
    silence_seconds: float | None

    def __post_init__(self) -> None:
        self.cancel_sent_at: float | None = None
        self._began = self._progress_at = time.monotonic()
        self._reached: dict[str, int] = {}

    @property
    def is_cancelled(self) -> bool:
        """Whether it is to be given up."""
        return self.cancelled is not None and self.cancelled.is_set()

    def note_progress(self, progress: ProgressParams) -> None:
        """Take progress as a sign of life if it goes beyond what its stage had reached; mere talk is none."""
        is_known = progress.stage in self._reached
        if progress.done_frames > self._reached.get(progress.stage, -1) and (is_known or len(self._reached) < _STAGES):
            self._reached[progress.stage] = progress.done_frames
            self._progress_at = time.monotonic()

    def late(self, cancel_seconds: float) -> str | None:
        """Say which deadline has passed, in words; None when none has."""
        now = time.monotonic()
        if self.cancel_sent_at is not None and now - self.cancel_sent_at > cancel_seconds:
            return "did not stop when it was cancelled"
        if self.silence_seconds is not None and now - self._progress_at > self.silence_seconds:
            return f"made no progress for {self.silence_seconds:g} s during {self.method}"
        if self.total_seconds is not None and now - self._began > self.total_seconds:
            return f"did not finish {self.method} within {self.total_seconds:g} s"
        return None
