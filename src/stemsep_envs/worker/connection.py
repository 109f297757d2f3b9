"""One worker from start to stop: requests out, replies in, deadlines, cancellation, one clear error however it ends."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from stemsep_envs.documents.document_type import BaseDocument
from stemsep_envs.documents.protocol import (
    MAX_LINE_BYTES,
    CancelParams,
    Incoming,
    InitializeParams,
    InitializeResult,
    LoadParams,
    LoadResult,
    LogParams,
    ProgressParams,
    SeparateParams,
    SeparateResult,
)
from stemsep_envs.errors import InterruptedRunError, ModelError, StemsepEnvError
from stemsep_envs.host.child_process import start
from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import ExitCause, exit_cause_of
from stemsep_envs.worker.deadlines import Deadlines, OnProgress, Request
from stemsep_envs.worker.failures import ended_error, late_error, replied_error, violation_error
from stemsep_envs.worker.log import LogLines, WorkerLog
from stemsep_envs.worker.messages import (
    ProtocolViolation,
    notification_line,
    parse_line,
    parse_reply,
    request_line,
)
from stemsep_envs.worker.reply_queue import EndOfReplies, Overlong, ReplyQueue

ResultT = TypeVar("ResultT", bound=BaseDocument)

_POLL_SECONDS = 0.1
"""How often a waiting session looks for a cancellation, a deadline, and whether the worker lives."""

_END_SECONDS = 1.0
"""How long a worker that closed its side may take to end by itself, so that the cause can be told."""


class WorkerConnection:
    """A conversation with one worker. Use it as a context manager; leaving it ends every process the worker started.

    Not to be shared between threads; only a cancellation comes from another one.

    Args:
        command: How to start the worker, as the sandbox prepared it.
        deadlines: How long it may take.
        on_log: Called with each log line of the adapter (level, text), cleaned.
        explain_end: Says how the worker ended from its exit status; a sandbox may know more than the status tells.

    Raises:
        StemsepEnvError: The program could not be started.
    """

    def __init__(
        self,
        command: Command,
        *,
        deadlines: Deadlines | None = None,
        on_log: Callable[[str, str], None] | None = None,
        explain_end: Callable[[int], ExitCause] = exit_cause_of,
    ) -> None:
        self.log = WorkerLog()
        self._deadlines = deadlines or Deadlines()
        self._on_log = on_log
        self._explain_end = explain_end
        self._replies = ReplyQueue()
        self._closed = self._crashed = False
        self._child = start(command, on_stdout=self._replies.feed, on_stderr=LogLines(self.log).feed)

    def __enter__(self) -> WorkerConnection:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self.close(politely=exc_type is None)

    @property
    def pid(self) -> int:
        """The worker's process id, as the host sees the process it started."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether requests can still be made."""
        return not self._closed and self._child.poll() is None

    @property
    def crashed(self) -> bool:
        """Whether it ended by its own doing (died, broke the protocol), not by deadline, cancellation or caller."""
        return self._crashed or (not self._closed and self._child.poll() is not None)

    def initialize(self, *, cancelled: threading.Event | None = None) -> InitializeResult:
        """Open the conversation; raises as `separate` does."""
        seconds = self._deadlines.start_seconds
        return self._call("initialize", InitializeParams(), InitializeResult, seconds, cancelled=cancelled)

    def load(self, params: LoadParams, *, cancelled: threading.Event | None = None) -> LoadResult:
        """Load the session's model; raises as `separate` does."""
        return self._call("load", params, LoadResult, self._deadlines.load_seconds, cancelled=cancelled)

    def separate(
        self,
        params: SeparateParams,
        *,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
        total_seconds: float | None = None,
    ) -> SeparateResult:
        """Separate one track into the scratch folder that ``params`` names.

        Args:
            params: The request.
            on_progress: Called with each sign of progress.
            cancelled: Set it from another thread to have the track given up.
            total_seconds: How long it may take where the session's deadlines leave that to the track.

        Raises:
            ModelError: The model's code or the worker failed. After a failed request the session is usable, after a
                worker's death it is not.
            UsageError: The input is not readable audio, or an option does not fit it.
            LimitError: A deadline passed, or memory or disk ran out.
            InterruptedRunError: It was cancelled, whether or not the worker was done by then, or the session was closed
                by another thread.
        """
        return self._call(
            "separate",
            params,
            SeparateResult,
            total_seconds if self._deadlines.total_seconds is None else self._deadlines.total_seconds,
            silence_seconds=self._deadlines.silence_seconds,
            on_progress=on_progress,
            cancelled=cancelled,
        )

    def close(self, *, politely: bool = True) -> None:
        """End the worker and everything it started; politely asks it to stop first."""
        if self._closed:
            return
        self._closed = True
        self._replies.discard()
        try:
            if politely and self._child.poll() is None:
                self._child.send(request_line(_new_id(), "shutdown", None))
                self._child.end_input()
                self._child.wait(self._deadlines.shutdown_seconds)
        finally:
            self._child.kill_tree()

    def _call(
        self,
        method: str,
        params: BaseDocument,
        result_model: type[ResultT],
        total_seconds: float | None,
        *,
        silence_seconds: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
    ) -> ResultT:
        if self._closed:
            raise ModelError("the worker has ended", hint="open a new session", code="worker_ended")
        if cancelled is not None and cancelled.is_set():
            raise InterruptedRunError("cancelled")
        request = Request(_new_id(), method, on_progress, cancelled, total_seconds, silence_seconds)
        line = request_line(request.id, method, params)
        try:
            self._child.send(line)
            reply = self._reply_to(request)
            result = None if reply.error is not None else parse_reply(reply.result, result_model)
        except ProtocolViolation as violation:
            self._crashed = True
            self.close(politely=False)
            raise violation_error(method, str(violation), self.log) from None
        except BaseException:  # an interruption, or a caller's function failed: the reply would meet the next request
            self.close(politely=False)
            raise
        if request.is_cancelled:
            raise InterruptedRunError("cancelled")
        if reply.error is not None:
            raise replied_error(reply.error)
        if result is None:
            raise TypeError("a reply without an error has a result")
        return result

    def _reply_to(self, request: Request) -> Incoming:
        """Take what the worker says until it answers.

        Raises:
            ProtocolViolation: It said something else.
            StemsepEnvError: It ended, or was ended.
        """
        seen_dead = False
        while True:
            received = self._replies.get(_POLL_SECONDS)
            if isinstance(received, Overlong):
                raise ProtocolViolation(f"a line of more than {MAX_LINE_BYTES} bytes")
            if isinstance(received, EndOfReplies) or (received is None and seen_dead):
                raise self._ended(request)
            if received is None:
                # A process it left behind may hold its side open: then no end of replies tells of its death.
                seen_dead = self._child.poll() is not None
            else:
                message = parse_line(received)
                if message.method is None:
                    if message.id != request.id:
                        raise ProtocolViolation("a reply to a request that is not open")
                    return message
                self._notified(message, request)
            self._look_at_clock(request)

    def _look_at_clock(self, request: Request) -> None:
        if request.is_cancelled and request.cancel_sent_at is None:
            request.cancel_sent_at = time.monotonic()
            self._child.send(notification_line("cancel", CancelParams(id=request.id)))
        late = request.late(self._deadlines.cancel_seconds)
        if late is not None:
            self.close(politely=False)
            if request.is_cancelled:
                raise InterruptedRunError("cancelled; the worker did not stop by itself and was ended")
            raise late_error(late, self.log)

    def _notified(self, message: Incoming, request: Request) -> None:
        if message.method == "progress":
            progress = parse_reply(message.params, ProgressParams)
            if progress.id == request.id:
                request.note_progress(progress)
                if request.on_progress is not None:
                    request.on_progress(progress)
        elif message.method == "log":
            line = parse_reply(message.params, LogParams)
            self.log.add(f"{line.level}: {line.message}")
            if self._on_log is not None:
                self._on_log(line.level, line.message)
        # Other notifications come from a newer worker; there is nothing to do with them.

    def _ended(self, request: Request) -> StemsepEnvError:
        if self._closed:
            return InterruptedRunError("the session was closed before the request was done")
        status = self._child.wait(_END_SECONDS)
        if status is not None:
            self._child.drain(_END_SECONDS)  # its last words
        self.close(politely=False)
        if request.is_cancelled:
            return InterruptedRunError("cancelled; the worker ended")
        self._crashed = True
        return ended_error(request.method, None if status is None else self._explain_end(status), self.log)


def _new_id() -> int:
    """Return an id that a worker cannot know before it is asked, so that no reply can be there before its request."""
    return secrets.randbits(48)
