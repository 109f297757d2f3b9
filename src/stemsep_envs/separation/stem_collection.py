"""What the host does for a track beside the worker: reading its input, taking its stems; in threads, and bounded.

None of it goes on when the track is over: the next one would meet it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import ParamSpec, TypeVar

from stemsep_envs.errors import InterruptedRunError, LimitError
from stemsep_envs.worker.ingest import Ingested, ingest

_P = ParamSpec("_P")
_T = TypeVar("_T")


class TrackWork:
    """The work on one track. Leaving the block gives up what is not done, and waits until nothing of it runs.

    Args:
        pool: The threads.
        cancelled: Set when the track is given up.
        total_seconds: How long the track may take from now on; None: as long as it likes.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, *, cancelled: threading.Event | None, total_seconds: float | None
    ) -> None:
        self._pool = pool
        self._cancelled = cancelled
        self._total_seconds = total_seconds
        self._began = time.monotonic()
        self._over = threading.Event()
        self._started: list[Future[object]] = []

    def __enter__(self) -> TrackWork:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        wait(self._started)

    def start(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a function called in a thread; it calls `check` again and again."""
        future = self._pool.submit(function, *args, **kwargs)
        self._started.append(future)  # type: ignore[arg-type]  # a future is what it gives
        return future

    def check(self) -> None:
        """Stop the work that calls this where nobody waits for it any more.

        Raises:
            InterruptedRunError: The track was cancelled, or is over.
            LimitError: Its time is up.
        """
        if self._over.is_set() or (self._cancelled is not None and self._cancelled.is_set()):
            raise InterruptedRunError("cancelled")
        if self._total_seconds is not None and time.monotonic() - self._began > self._total_seconds:
            raise LimitError(f"the stems were not taken within {self._total_seconds:g} s", code="deadline")


class _Allowance:
    """The bytes that the stems of one track may have together; they are taken several at once."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = self._left = most_bytes
        self._lock = threading.Lock()

    def spend(self, size: int) -> None:
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise LimitError(
                    f"the stems are larger than the {self._most_bytes} bytes that this track can need",
                    code="output_too_large",
                )


def take_stems(
    files: Mapping[str, str], theirs: Path, ours: Path, work: TrackWork, *, max_bytes: int, confined: bool
) -> dict[str, Ingested]:
    """Take all stems of a track out of the worker's reach, or raise what went wrong with the first that failed.

    Args:
        files: The file of each stem.
        theirs: The worker's folder that they are in.
        ours: A folder for this track alone, which only the host writes, on the same file system.
        work: The work on the track.
        max_bytes: The most that they may have together.
        confined: Whether a boundary holds the worker.

    Raises:
        ModelError: One is missing or is not a regular file of its own.
        LimitError: The disk is full, the stems are too large, or the time is up.
        InterruptedRunError: The track was cancelled.
    """
    allowance = _Allowance(max_bytes)

    def on_block(size: int) -> None:
        work.check()
        allowance.spend(size)

    pending = {
        stem: work.start(ingest, theirs / file, ours / file, max_bytes=max_bytes, confined=confined, on_block=on_block)
        for stem, file in files.items()
    }
    wait(pending.values(), return_when=FIRST_EXCEPTION)
    for future in pending.values():
        if future.done():
            future.result()  # or its error, before the others are waited for
    return {stem: future.result() for stem, future in pending.items()}
