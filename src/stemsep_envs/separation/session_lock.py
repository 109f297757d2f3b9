"""One thread at a time uses a session, and whoever closes it first sees the others out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stemsep_envs.errors import InterruptedRunError, StemsepEnvError, UsageError

_POLL_SECONDS = 0.1


class SessionLock:
    """Whose turn it is. ``closed`` says that there is none any more."""

    def __init__(self) -> None:
        self.closed = False
        self._busy = threading.Lock()
        self._user: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the turn while the block runs.

        Raises:
            UsageError: Another thread has it, or there is none any more.
            InterruptedRunError: Another thread closed meanwhile, and the block failed for that.
        """
        if not self._busy.acquire(blocking=False):
            raise UsageError(
                "the session is busy with another track",
                hint="wait for its end, or open a session for each thread",
                code="session_busy",
            )
        try:
            self._user = threading.get_ident()  # before the look: who closes either sees us, or is seen
            if self.closed:
                raise UsageError("the session is closed", hint="open a new one", code="worker_ended")
            yield
        except StemsepEnvError as error:
            if not self.closed or isinstance(error, UsageError | InterruptedRunError):
                raise
            raise InterruptedRunError("the session was closed before the track was done") from error
        finally:
            self._user = None
            self._busy.release()

    def close(self, interrupt: Callable[[], None]) -> None:
        """Let nobody have a turn any more; the thread that has it is interrupted, and waited for.

        Args:
            interrupt: Makes what a turn waits for fail. Called again and again: a turn may begin something new.
        """
        self.closed = True
        while self._user not in {None, threading.get_ident()}:
            interrupt()
            if self._busy.acquire(timeout=_POLL_SECONDS):
                self._busy.release()
