"""Starting a child process and talking to it over its pipes; ending it with all that it started.

Every child has a session of its own, so that an end reaches every process it started, and Ctrl-C reaches it through us
alone. A process that left that session escapes us; those of workers are the sandbox's to find.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.command import Command
from stemsep_envs.host.pipes import Reader, Sink, Stop, Writer
from stemsep_envs.host.process_tree import hold_descendants, kill_group, kill_held
from stemsep_envs.host.signals import signals_deferred

LAST_WORDS_SECONDS = 2.0
"""How long the pipes of an ended process are still read: one that it left behind may hold them open for ever."""


class Child:
    """A running process. Threads serve its streams, so that writing to it and reading from it never block."""

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
                reader.join(LAST_WORDS_SECONDS)
            self._stop.close()
            raise
        self._readers = readers

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its session and process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._record_end(self._process.poll())

    def wait(self, timeout_seconds: float | None) -> int | None:
        """Wait for the end; return the exit status, or None when the time is over first."""
        began = time.monotonic()
        if timeout_seconds is not None and self._process.returncode is None:
            _sleep_until_end(self.pid, timeout_seconds)
            timeout_seconds = max(0.0, timeout_seconds - (time.monotonic() - began))
        try:
            return self._record_end(self._process.wait(timeout_seconds))
        except subprocess.TimeoutExpired:
            return None

    def _record_end(self, status: int | None) -> int | None:
        """When its end is first seen, kill what is left of its group: later its number may be another's."""
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
        """Kill the process tree: the process and all that descends from it; reap it and close its pipes.

        Harmless when it is gone. One that ended within its grace period has ended its descendants, or left them on
        purpose.
        """
        try:
            if self.poll() is None:
                self._terminate()
                self._kill()
                self.drain(LAST_WORDS_SECONDS)  # when both pipes end, whoever dies with it is gone too
        finally:
            self._close_pipes()

    def _kill(self) -> None:
        descendants = [] if self.poll() is not None else hold_descendants(self.pid)
        kill_group(self.pid)
        with suppress(OSError):
            self._process.kill()
        self.wait(None)
        kill_held(descendants)  # those that left the group: with their parents gone, nobody else finds them

    def _terminate(self) -> None:
        seconds = self.command.grace_seconds
        if seconds and sys.platform != "win32":
            with suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)
            self.wait(seconds)

    def _close_pipes(self) -> None:
        self._stop.set()
        self._input.send(None)
        threads = (self._input, *self._readers)
        for thread in threads:
            thread.join(LAST_WORDS_SECONDS)
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
        with signals_deferred():
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
            f"cannot start {command.argv[0]}: this program ignores SIGCHLD, which hides how its children end",
            hint="call signal.signal(signal.SIGCHLD, signal.SIG_DFL) first",
            code="cannot_start",
        )


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Kill a process whose pipes cannot be served."""
    kill_group(process.pid)
    with suppress(OSError):
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


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
