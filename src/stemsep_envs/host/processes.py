"""Starting processes: the one place. Every process gets an explicit command line, environment, folder and deadline.

`run` waits for a tool and collects what it says; `start` hands back a live child for a conversation over its pipes.
Both put the child in a session of its own, so that an end reaches every process it started, and Ctrl-C reaches it
through us alone. A process that left that session escapes us; those of workers are the sandbox's to find.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from stemsep_envs.errors import LimitError, StemsepEnvError
from stemsep_envs.host.pipes import Reader, Sink, Stop, Writer
from stemsep_envs.host.process_tree import hold_descendants
from stemsep_envs.host.redaction import hide_secrets
from stemsep_envs.host.signals import ENDING_SIGNALS

_KEEP_BYTES = 1 << 20
"""Of each stream no more than this is kept: the end, which holds what matters."""

_LAST_WORDS_SECONDS = 2.0
"""How long the pipes of an ended process are still read: one that it left behind may hold them open for ever."""


@dataclass(frozen=True)
class Command:
    """What to start.

    Attributes:
        argv: Program and arguments; never a shell line.
        env: The whole environment, nothing is inherited.
        cwd: The working folder.
        asked_seconds: How long it is given, once asked by SIGTERM, to end all that it started, before it is killed.
            With none it is killed at once.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    asked_seconds: float = 0.0

    def shown(self) -> str:
        """Return a line that repeats the command in a shell, secrets hidden."""
        return hide_secrets(shlex.join(self.argv))


@dataclass(frozen=True)
class Completed:
    """What a finished process left: its exit status (negative: the signal) and the end of its two streams."""

    command: Command
    status: int
    stdout: str
    stderr: str
    elapsed_seconds: float


def run(
    command: Command,
    *,
    timeout_seconds: float | None,
    stdin: bytes = b"",
    on_stderr_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command to its end; all three streams are served while it runs.

    Args:
        command: What to run.
        timeout_seconds: After this the whole process group is killed.
        stdin: What the process reads; it may end without.
        on_stderr_line: Called on another thread with each line of stderr as it comes (progress). An error it raises is
            raised here once the command has ended.

    Raises:
        LimitError: The deadline passed.
        StemsepEnvError: The program could not be started.
    """
    began = time.monotonic()
    out, err = _Kept(None), _Kept(on_stderr_line)
    child = start(command, on_stdout=out, on_stderr=err)
    try:
        child.send(stdin)
        child.end_input()
        status = child.wait(timeout_seconds)
        if status is not None:
            child.drain(_LAST_WORDS_SECONDS)
    finally:
        child.kill_tree()
    if status is None:
        raise LimitError(
            f"{Path(command.argv[0]).name} did not finish within {timeout_seconds:g} s",
            hint=f"to repeat it: {command.shown()}",
            code="deadline",
        )
    if err.failure is not None:
        raise err.failure
    return Completed(command, status, out.text(), err.text(), time.monotonic() - began)


class _Kept:
    """Takes a stream, keeps its end, and tells of its lines."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._kept, self._line = bytearray(), bytearray()
        self._on_line = on_line
        self.failure: Exception | None = None

    def __call__(self, block: bytes) -> None:
        self._kept += block
        if len(self._kept) > 2 * _KEEP_BYTES:
            del self._kept[:-_KEEP_BYTES]
        if self._on_line is not None:
            *lines, self._line = (self._line + block).split(b"\n")
            if len(self._line) > _KEEP_BYTES or not block:  # no line is that long; the last may lack its end
                lines, self._line = [*lines, self._line], bytearray()
            self._tell(line.decode(errors="replace").rstrip("\r") for line in lines if line or block)

    def _tell(self, lines: Iterable[str]) -> None:
        try:
            for line in lines:
                if self._on_line is not None:
                    self._on_line(line)
        except Exception as error:  # noqa: BLE001 - the caller's; handed to the caller's thread
            self.failure, self._on_line = error, None

    def text(self) -> str:
        return self._kept[-_KEEP_BYTES:].decode(errors="replace")


class Child:
    """A running process. Its streams are served by threads: what it is sent, and what it says, never makes us wait."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes], *, on_stdout: Sink, on_stderr: Sink) -> None:
        self.command = command
        self._process = process
        self._gone = False
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise TypeError("a child is started with pipes")
        self._stop = Stop()
        readers: list[Reader] = []
        try:
            for stream, sink in ((process.stdout, on_stdout), (process.stderr, on_stderr)):
                readers.append(Reader(stream, sink, self._stop))
            self._input = Writer(process.stdin, self._stop)
        except BaseException:  # no more threads
            self._stop.set()
            for reader in readers:
                reader.join(_LAST_WORDS_SECONDS)
            self._stop.close()
            raise
        self._readers = readers

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its session and process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._noticed(self._process.poll())

    def wait(self, timeout_seconds: float | None) -> int | None:
        """Wait for the end; return the exit status, or None when the time is over first."""
        began = time.monotonic()
        if timeout_seconds is not None and self._process.returncode is None:
            _sleep_until_end(self.pid, timeout_seconds)
            timeout_seconds = max(0.0, timeout_seconds - (time.monotonic() - began))
        try:
            return self._noticed(self._process.wait(timeout_seconds))
        except subprocess.TimeoutExpired:
            return None

    def _noticed(self, status: int | None) -> int | None:
        """At the first word of its end, kill what is left of its group: later its number may be someone else's."""
        if status is not None and not self._gone:
            self._gone = True
            kill_group(self.pid)
        return status

    def send(self, data: bytes) -> None:
        """Have ``data`` written to its input; returns at once, also when the process does not read or is gone."""
        self._input.send(data)

    def end_input(self) -> None:
        """Close its input once all that was sent is written."""
        self._input.send(None)

    def drain(self, timeout_seconds: float) -> bool:
        """Wait until all that it said was read; False when its output is still held open at the end of the time."""
        until = time.monotonic() + timeout_seconds
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))
        return not any(reader.is_alive() for reader in self._readers)

    def kill_tree(self) -> None:
        """Kill the process and all that descends from it, collect it, let go of its pipes. Harmless when it is gone.

        One that was asked and ended by itself has ended its descendants, or left them on purpose.
        """
        try:
            if self.poll() is None:
                self._ask_to_end()
                self._kill()
                self.drain(_LAST_WORDS_SECONDS)  # when both pipes end, whoever dies with it is gone too
        finally:
            self._let_go()

    def _kill(self) -> None:
        descendants = [] if self.poll() is not None else hold_descendants(self.pid)
        kill_group(self.pid)
        with suppress(OSError):
            self._process.kill()
        self.wait(None)
        for descriptor in descendants:  # those that left the group: with their parents gone, nobody else finds them
            with suppress(OSError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)

    def _ask_to_end(self) -> None:
        seconds = self.command.asked_seconds
        if seconds and sys.platform != "win32":
            with suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)
            self.wait(seconds)

    def _let_go(self) -> None:
        self._stop.set()
        self._input.send(None)
        threads = (self._input, *self._readers)
        for thread in threads:
            thread.join(_LAST_WORDS_SECONDS)
        if not any(thread.is_alive() for thread in threads):
            self._stop.close()


def start(command: Command, *, on_stdout: Sink | None = None, on_stderr: Sink | None = None) -> Child:
    """Start a process in a session of its own, with pipes on its three streams and no other descriptor of ours.

    Args:
        command: What to start.
        on_stdout: Takes what it says, on another thread; by default that is dropped.
        on_stderr: Likewise.

    Raises:
        StemsepEnvError: The program is not there or cannot be run, this process may have no more threads, or it ignores
            how its children end.
    """
    _refuse_without_children(command)
    child = None
    try:
        with _signals_wait():
            process = subprocess.Popen(
                command.argv,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(command.env),
                cwd=command.cwd,
                close_fds=True,
                start_new_session=sys.platform != "win32",
            )
            try:
                child = Child(command, process, on_stdout=on_stdout or _drop, on_stderr=on_stderr or _drop)
            except BaseException:
                _abandon(process)
                raise
    except OSError as error:
        what = f"{command.argv[0]} in {command.cwd}" if str(error.filename) == str(command.cwd) else command.argv[0]
        raise StemsepEnvError(
            f"cannot start {what}: {error.strerror or error}",
            hint=f"to repeat it: {command.shown()}",
            code="cannot_start",
        ) from error
    except RuntimeError as error:  # what Python says where a thread cannot be started
        raise StemsepEnvError(
            f"cannot start {command.argv[0]}: {error}",
            hint="end other programs, or raise the limit on processes and threads (ulimit -u, or the container's)",
            code="cannot_start",
        ) from error
    except BaseException:  # an interrupt that was held back
        if child is not None:
            child.kill_tree()
        raise
    return child


def _refuse_without_children(command: Command) -> None:
    if sys.platform != "win32" and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        raise StemsepEnvError(
            f"cannot start {command.argv[0]}: this program ignores SIGCHLD, so nobody would learn how it ended",
            hint="call signal.signal(signal.SIGCHLD, signal.SIG_DFL) first",
            code="cannot_start",
        )


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """End a process that cannot be talked to."""
    kill_group(process.pid)
    with suppress(OSError):
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back Ctrl-C and the like until the block is done: a child that was started and not yet noted would live on.

    The mask that blocks signals would be inherited by the child, so handlers are set aside instead.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread alone
        return
    came: list[tuple[int, FrameType | None]] = []
    aside: dict[signal.Signals, Callable[[int, FrameType | None], object]] = {}
    for number in ENDING_SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            aside[number] = handler
            signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in aside.items():
            signal.signal(number, handler)
        if came:
            first, frame = came[0]
            aside[signal.Signals(first)](first, frame)


def _drop(_: bytes) -> None:
    """Take output that nobody wants."""


def _sleep_until_end(pid: int, timeout_seconds: float) -> None:
    """Sleep until a child of ours ends or the time is over; may return early.

    With a deadline, Popen only looks every 50 ms whether the child has ended: four tools a build, a fifth of a second.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):  # Pythons built against old headers lack it
        return  # Windows waits exactly; macOS has nothing as simple
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return  # an old kernel, or one that forbids it
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll(min(timeout_seconds, 86400.0) * 1000)
    finally:
        os.close(descriptor)


def kill_group(group_id: int) -> None:
    """Kill every process of a process group."""
    if sys.platform == "win32":
        return  # Windows has no process groups; a Job Object belongs to the sandbox there
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group_id, signal.SIGKILL)


@dataclass(frozen=True)
class Ending:
    """How a process ended, in words, and whether a limit (memory, processor time, size of a file) ended it."""

    words: str
    over_limit: bool


_SIGNAL_NOTES = {
    "SIGKILL": " (often: the system ran out of memory)",
    "SIGSEGV": " (a crash in native code)",
    "SIGBUS": " (a crash in native code, or a disk that is full)",
    "SIGILL": " (a crash in native code: often built for another processor)",
    "SIGABRT": " (native code gave up)",
    "SIGXCPU": " (more processor time than allowed)",
    "SIGXFSZ": " (a larger file than allowed)",
}
_LIMIT_SIGNALS = {"SIGKILL", "SIGXCPU", "SIGXFSZ"}


def how_it_ended(status: int) -> Ending:
    """Say how a process ended, from its exit status (negative: the signal; 128 + N: a shell telling of signal N)."""
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return Ending(f"exit status {status}" if status >= 0 else f"killed by signal {number}", over_limit=False)
    note = _SIGNAL_NOTES.get(name, "")
    words = f"killed by {name}{note}" if status < 0 else f"exit status {status}, which stands for {name}{note}"
    return Ending(words, name in _LIMIT_SIGNALS)


def words_for_status(status: int) -> str:
    """Say how a process ended: ``exit status 2``, or ``killed by SIGKILL (often: the system ran out of memory)``."""
    return how_it_ended(status).words
