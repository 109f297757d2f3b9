"""Several transfers at a time, watched from one place: progress is told there, and what stalls is ended from there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from stemsep_envs.host.web import Watch

_LOOK_SECONDS = 0.05
_LAST_WORDS_SECONDS = 3.0
"""How long ended transfers are waited for; they note how far they came."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a transfer is tried.

    Attributes:
        stall_seconds: A connection that brought nothing, or almost nothing, for so long is ended.
        slowest_bytes: What counts as almost nothing, in bytes a second.
        attempts: Attempts in a row that may fail; one in which the server said nothing counts twice.
        progress_bytes: An attempt that brought so much more than there ever was begins the count anew.
        pause_seconds: Before the second attempt; doubled for each further one.
        longest_pause_seconds: The longest pause, also when a server asks for more: then it is given up.
        flush_seconds: How often what came is made sure to be on the disk.
        at_once: How many transfers run at a time.
        tell_seconds: How often progress is told.
    """

    stall_seconds: float = 60.0
    slowest_bytes: float = 256.0
    attempts: int = 5
    progress_bytes: int = 1 << 20
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    flush_seconds: float = 5.0
    at_once: int = 4
    tell_seconds: float = 0.5


class TransferEndedError(Exception):
    """The transfer is no longer wanted: the user interrupted it, or another one failed."""


class Transfer:
    """One transfer, as its thread and its watcher see it.

    Attributes:
        name: What is transferred.
        watch: The connections of the attempt that runs.
        done_bytes: How much of the whole is here.
        total_bytes: The whole; None while it is not known.
        received_bytes: How much came, in all attempts together.
        busy: Whether bytes are being waited for.
        note: Why nothing comes at the moment; None while nothing is in the way.
    """

    def __init__(self, name: str, stop: threading.Event) -> None:
        self.name = name
        self.watch = Watch()
        self.done_bytes = 0
        self.total_bytes: int | None = None
        self.received_bytes = 0
        self.busy = False
        self.note: str | None = None
        self._stop = stop
        self._looked: tuple[float, int] | None = None

    def check(self) -> None:
        """Raise `TransferEndedError` when the transfer is no longer wanted."""
        if self._stop.is_set():
            raise TransferEndedError(self.name)

    def sleep(self, seconds: float) -> None:
        """Wait, or end when no longer wanted."""
        self._stop.wait(seconds)
        self.check()

    def begin(self, *, done_bytes: int, total_bytes: int | None) -> None:
        """Say where the transfer begins, or begins again."""
        self.done_bytes, self.total_bytes = done_bytes, total_bytes

    def count(self, size: int) -> None:
        """Say that so many bytes came."""
        self.done_bytes += size
        self.received_bytes += size

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Have the block watched: when almost nothing comes for too long, its connections are ended."""
        self.watch = Watch()
        self.check()  # after the new watch is in place: whoever ends the transfer ends the watch that is
        self._looked = None
        self.busy = True
        try:
            yield
        finally:
            self.busy = False
            self.watch.close()

    def look(self, now: float, patience: Patience) -> None:
        """End the connections when almost nothing came since the last look that long ago."""
        if not self.busy:
            return
        if self._looked is None:
            self._looked = (now, self.received_bytes)
            return
        since, before = self._looked
        if now - since < patience.stall_seconds:
            return
        if self.received_bytes - before < patience.slowest_bytes * patience.stall_seconds:
            self.watch.end("stalled")
        self._looked = (now, self.received_bytes)


@dataclass
class _Outcome(Generic[T]):
    value: T | None = None
    error: BaseException | None = None
    ended: bool = False


def transfer_all(
    jobs: Sequence[tuple[str, Callable[[Transfer], T]]],
    *,
    patience: Patience,
    on_progress: Callable[[Sequence[Transfer]], None],
) -> list[T]:
    """Do several transfers; return what each brought, in order.

    The first that fails ends the others: what they have is kept by them and continued the next time.

    Args:
        jobs: A name and what to do, called on a thread of its own.
        patience: How many at a time, and how often progress is told.
        on_progress: Called in this thread with those that are under way.

    Raises:
        Whatever the first job that failed raised.
    """
    stop = threading.Event()
    outcomes: list[_Outcome[T]] = [_Outcome() for _ in jobs]
    waiting = deque(range(len(jobs)))
    running: dict[int, tuple[threading.Thread, Transfer]] = {}
    told_at = 0.0
    try:
        while waiting or running:
            while waiting and len(running) < patience.at_once:
                index = waiting.popleft()
                name, work = jobs[index]
                transfer = Transfer(name, stop)
                thread = threading.Thread(target=_do, args=(work, transfer, outcomes[index]), daemon=True, name=name)
                running[index] = thread, transfer
                thread.start()
            next(iter(running.values()))[0].join(_LOOK_SECONDS)
            now = time.monotonic()
            ended = [index for index, (thread, _) in running.items() if not thread.is_alive()]
            if now - told_at >= patience.tell_seconds or ended:
                on_progress([transfer for _, transfer in running.values()])
                told_at = now
            for _, transfer in running.values():
                transfer.look(now, patience)
            for index in ended:
                del running[index]
                error = outcomes[index].error
                if error is not None:
                    raise error
    finally:
        stop.set()
        for _, transfer in running.values():
            transfer.watch.end("no longer wanted")
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        for thread, _ in running.values():
            thread.join(max(0.0, deadline - time.monotonic()))
    return [outcome.value for outcome in outcomes]  # type: ignore[misc]


def _do(work: Callable[[Transfer], T], transfer: Transfer, outcome: _Outcome[T]) -> None:
    try:
        outcome.value = work(transfer)
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
        outcome.error = error
