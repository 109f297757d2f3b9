"""One worker from start to stop: requests out, replies in, deadlines, cancellation, one clear error however it ends."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel

from stemsep_envs.documents.protocol import (
    MAX_LINE_BYTES,
    CancelParams,
    ErrorObject,
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
from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError, StemsepEnvError, UsageError
from stemsep_envs.host.processes import Child, Command, start, words_for_status
from stemsep_envs.worker.log import WorkerLog, clean
from stemsep_envs.worker.messages import (
    ProtocolViolation,
    notification_line,
    parse_line,
    parse_reply,
    request_line,
)

ResultT = TypeVar("ResultT", bound=BaseModel)
OnProgress = Callable[[ProgressParams], None]

_POLL_SECONDS = 0.1
"""How often a waiting session looks for a cancellation."""


@dataclass(frozen=True)
class Deadlines:
    """How long a worker may take, in seconds. ``silence`` bounds the time between two signs of life in a request."""

    start_seconds: float = 120.0
    load_seconds: float = 900.0
    silence_seconds: float = 900.0
    total_seconds: float | None = None
    cancel_seconds: float = 5.0
    shutdown_seconds: float = 5.0


@dataclass(frozen=True)
class _Ended:
    """The reader's last word: how the stream of replies came to its end."""

    why: Literal["eof", "violation"]
    words: str = ""


class WorkerSession:
    """A conversation with one worker. Use it as a context manager; leaving it ends every process the worker started.

    Args:
        command: How to start the worker, as the sandbox prepared it.
        deadlines: How long it may take.
        on_log: Called with each log line of the adapter (level, text), cleaned.

    Raises:
        StemsepEnvError: The program could not be started.
    """

    def __init__(
        self,
        command: Command,
        *,
        deadlines: Deadlines | None = None,
        on_log: Callable[[str, str], None] | None = None,
    ) -> None:
        self.log = WorkerLog()
        self._deadlines = deadlines or Deadlines()
        self._on_log = on_log
        self._messages: queue.Queue[Incoming | _Ended] = queue.Queue(maxsize=1000)
        self._next_id = 0
        self._closed = False
        self._child = start(command)
        threading.Thread(target=_read_replies, args=(self._child, self._messages), daemon=True).start()
        threading.Thread(target=_read_log, args=(self._child, self.log), daemon=True).start()

    def __enter__(self) -> WorkerSession:
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

    def initialize(self) -> InitializeResult:
        """Open the conversation; see `call` for what is raised."""
        return self._call("initialize", InitializeParams(), InitializeResult, self._deadlines.start_seconds)

    def load(self, params: LoadParams) -> LoadResult:
        """Load the session's model; see `call` for what is raised."""
        return self._call("load", params, LoadResult, self._deadlines.load_seconds)

    def separate(
        self,
        params: SeparateParams,
        *,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
    ) -> SeparateResult:
        """Separate one track into the scratch folder that ``params`` names.

        Args:
            params: The request.
            on_progress: Called with each sign of progress.
            cancelled: Set it from another thread to have the track given up.

        Raises:
            ModelError: The model's code or the worker failed. After a failed request the session is usable, after a
                worker's death it is not.
            UsageError: The input is not readable audio, or an option does not fit it.
            LimitError: A deadline passed, or memory or disk ran out.
            InterruptedRunError: It was cancelled.
        """
        return self._call(
            "separate",
            params,
            SeparateResult,
            self._deadlines.silence_seconds,
            on_progress=on_progress,
            cancelled=cancelled,
            total_seconds=self._deadlines.total_seconds,
        )

    def close(self, *, politely: bool = True) -> None:
        """End the worker and everything it started; politely asks it to stop first."""
        if self._closed:
            return
        self._closed = True
        if politely and self._child.poll() is None:
            with suppress(OSError, ValueError):
                self._child.stdin.write(request_line(self._next_id, "shutdown", None))
                self._child.stdin.close()
            self._child.wait(self._deadlines.shutdown_seconds)
        self._child.kill_tree()

    def _call(
        self,
        method: str,
        params: BaseModel,
        result_model: type[ResultT],
        silence_seconds: float,
        *,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
        total_seconds: float | None = None,
    ) -> ResultT:
        if self._closed:
            raise ModelError("the worker has ended", hint="open a new session", code="worker_ended")
        request_id = self._next_id
        self._next_id += 1
        self._send(request_line(request_id, method, params))
        waiting = _Waiting(method, silence_seconds, total_seconds)
        while True:
            message = self._next_message()
            if isinstance(message, _Ended):
                raise self._ended_error(method, message)
            if message is None:
                self._look_at_clock(waiting, request_id, cancelled)
                continue
            waiting.heard()
            try:
                if message.method is not None:
                    self._notified(message, request_id, on_progress)
                elif message.id != request_id:
                    raise ProtocolViolation(f"a reply to request {message.id}, which is not under way")
                elif message.error is not None:
                    raise _error_of(message.error)
                else:
                    return parse_reply(message.result, result_model)
            except ProtocolViolation as violation:
                raise self._ended_error(method, _Ended("violation", str(violation))) from None

    def _send(self, line: bytes) -> None:
        with suppress(OSError, ValueError):  # a dead worker is reported by the reader, with its cause
            self._child.stdin.write(line)
            self._child.stdin.flush()

    def _next_message(self) -> Incoming | _Ended | None:
        try:
            return self._messages.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return None

    def _look_at_clock(self, waiting: _Waiting, request_id: int, cancelled: threading.Event | None) -> None:
        if cancelled is not None and cancelled.is_set() and waiting.cancel_sent_at is None:
            waiting.cancel_sent_at = time.monotonic()
            self._send(notification_line("cancel", CancelParams(id=request_id)))
        late = waiting.late(self._deadlines.cancel_seconds)
        if late is None:
            return
        self.close(politely=False)
        if late == "cancel":
            raise InterruptedRunError("cancelled; the worker did not stop by itself and was ended")
        limit_seconds = waiting.silence_seconds if late == "silence" else waiting.total_seconds
        words = "said nothing" if late == "silence" else "was not done"
        raise LimitError(
            f"the worker {words} for {limit_seconds:.0f} s during {waiting.method} and was ended",
            hint=self._tail_hint(),
            code="deadline",
        )

    def _notified(self, message: Incoming, request_id: int, on_progress: OnProgress | None) -> None:
        if message.method == "progress":
            progress = parse_reply(message.params, ProgressParams)
            if progress.id == request_id and on_progress is not None:
                on_progress(progress)
        elif message.method == "log":
            line = parse_reply(message.params, LogParams)
            self.log.add(f"{line.level}: {line.message}")
            if self._on_log is not None:
                self._on_log(clean(line.level), clean(line.message))
        # Other notifications come from a newer worker; there is nothing to do with them.

    def _ended_error(self, method: str, ended: _Ended) -> StemsepEnvError:
        if ended.why == "violation":
            self.close(politely=False)
            return ModelError(
                f"the worker broke the protocol during {method} and was ended: {clean(ended.words)[:500]}",
                hint=self._tail_hint(),
                code="protocol_violation",
            )
        status = self._child.wait(2.0)
        self.close(politely=False)
        if status is None:
            words, killed = "it closed its side and was ended", False
        else:
            words, killed = words_for_status(status), status in {-9, 137}
        error = LimitError if killed else ModelError
        code = "worker_killed" if killed else "worker_died"
        return error(f"the worker died during {method}: {words}", hint=self._tail_hint(), code=code)

    def _tail_hint(self) -> str | None:
        time.sleep(_POLL_SECONDS)  # its last words may still be on their way
        tail = self.log.tail()
        return f"its last words:\n{tail}" if tail else None


class _Waiting:
    """The clock of one request."""

    def __init__(self, method: str, silence_seconds: float, total_seconds: float | None) -> None:
        self.method = method
        self.silence_seconds = silence_seconds
        self.total_seconds = total_seconds
        self.cancel_sent_at: float | None = None
        self._began = self._heard_at = time.monotonic()

    def heard(self) -> None:
        self._heard_at = time.monotonic()

    def late(self, cancel_seconds: float) -> Literal["cancel", "silence", "total"] | None:
        now = time.monotonic()
        if self.cancel_sent_at is not None and now - self.cancel_sent_at > cancel_seconds:
            return "cancel"
        if now - self._heard_at > self.silence_seconds:
            return "silence"
        if self.total_seconds is not None and now - self._began > self.total_seconds:
            return "total"
        return None


def _read_replies(child: Child, messages: queue.Queue[Incoming | _Ended]) -> None:
    with suppress(OSError, ValueError):  # our end was closed: nobody waits for the rest
        while line := child.stdout.readline(MAX_LINE_BYTES + 1):
            try:
                messages.put(parse_line(line))
            except ProtocolViolation as violation:
                messages.put(_Ended("violation", str(violation)))
                return
    messages.put(_Ended("eof"))


def _read_log(child: Child, log: WorkerLog) -> None:
    with suppress(OSError, ValueError):
        while line := child.stderr.readline(1 << 16):
            log.add(line.decode(errors="replace"))


_USAGE_KINDS = {
    "input_missing",
    "input_unreadable",
    "input_empty",
    "input_channels",
    "input_nonfinite",
    "range_empty",
    "unsupported_format",
    "unsupported_setting",
    "output_failed",
}
_LIMIT_KINDS = {"no_space", "out_of_memory"}


def _error_of(error: ErrorObject) -> StemsepEnvError:
    """Turn a worker's error reply into ours. Its words are cleaned; its kind only chooses among known codes."""
    kind, message = error.data.kind, clean(error.message)
    hint = clean(error.data.hint) if error.data.hint else None
    if kind == "cancelled":
        return InterruptedRunError("cancelled")
    if kind in _USAGE_KINDS:
        return UsageError(message, hint=hint, code=kind)
    if kind in _LIMIT_KINDS:
        return LimitError(message, hint=hint, code=kind)
    detail = clean(error.data.traceback) if error.data.traceback else None
    return ModelError(message, hint="\n".join(filter(None, (hint, detail))) or None)
