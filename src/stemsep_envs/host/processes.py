"""Starting processes: the one place. Every process gets an explicit command line, environment, folder and deadline.

`run` waits for a tool and collects what it says; `start` hands back a live child for a conversation over its pipes. Both
put the child in a session of its own, so that an end reaches every process it started, and Ctrl-C reaches it through us
alone.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stemsep_envs.errors import LimitError, StemsepEnvError

_KEEP_BYTES = 1 << 20
"""Of each stream no more than this is kept: the end, which holds what matters."""

_SECRET = re.compile(r"(?i)(://[^/\s:@]*:)[^@\s/]+(@)|((?:token|password|secret|api[_-]?key)=)[^\s&]+")


@dataclass(frozen=True)
class Command:
    """What to start.

    Attributes:
        argv: Program and arguments; never a shell line.
        env: The whole environment, nothing is inherited.
        cwd: The working folder.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path

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


def hide_secrets(text: str) -> str:
    """Replace passwords in URLs and values of token-like arguments by ``***``."""
    return _SECRET.sub(lambda match: f"{match[1] or match[3]}***{match[2] or ''}", text)


def run(
    command: Command,
    *,
    timeout_seconds: float | None,
    stdin: bytes = b"",
    on_stderr_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command to its end; both streams are drained while it runs.

    Args:
        command: What to run.
        timeout_seconds: After this the whole process tree is killed.
        stdin: What the process reads.
        on_stderr_line: Called with each line of stderr as it comes (progress).

    Raises:
        LimitError: The deadline passed.
        StemsepEnvError: The program could not be started.
    """
    began = time.monotonic()
    child = start(command)
    out, err = bytearray(), bytearray()
    drains = [
        threading.Thread(target=_drain, args=(child.stdout, out, None), daemon=True),
        threading.Thread(target=_drain, args=(child.stderr, err, on_stderr_line), daemon=True),
    ]
    for drain in drains:
        drain.start()
    try:
        with suppress(OSError):  # it may end without reading
            child.stdin.write(stdin)
            child.stdin.close()
        status = child.wait(timeout_seconds)
    except BaseException:
        child.kill_tree()
        raise
    if status is None:
        child.kill_tree()
        raise LimitError(
            f"{Path(command.argv[0]).name} did not finish within {timeout_seconds:.0f} s",
            hint=f"to repeat it: {command.shown()}",
            code="deadline",
        )
    for drain in drains:
        drain.join(timeout=5)  # a grandchild may hold the pipe open; what it says is not ours
    child.close()
    elapsed = time.monotonic() - began
    return Completed(command, status, out.decode(errors="replace"), err.decode(errors="replace"), elapsed)


def _drain(stream: IO[bytes], kept: bytearray, on_line: Callable[[str], None] | None) -> None:
    with suppress(ValueError, OSError):  # closed under us when the child was given up
        for line in iter(lambda: stream.readline(1 << 16), b""):
            kept += line
            if len(kept) > 2 * _KEEP_BYTES:
                del kept[:-_KEEP_BYTES]
            if on_line is not None:
                on_line(line.decode(errors="replace").rstrip("\r\n"))


class Child:
    """A running process with its three pipes."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes]) -> None:
        self.command = command
        self._process = process
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise TypeError("a child is started with pipes")
        self.stdin: IO[bytes] = process.stdin
        self.stdout: IO[bytes] = process.stdout
        self.stderr: IO[bytes] = process.stderr

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its session and process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_seconds: float | None) -> int | None:
        """Wait for the end; return the exit status, or None when the time is over first."""
        began = time.monotonic()
        if timeout_seconds is not None and self._process.returncode is None:
            _sleep_until_end(self.pid, timeout_seconds)
            timeout_seconds = max(0.0, timeout_seconds - (time.monotonic() - began))
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill_tree(self) -> None:
        """Kill the process and all of its process group, and collect it. Harmless when it is gone."""
        kill_group(self.pid)
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        self.close()

    def close(self) -> None:
        """Close our ends of the pipes."""
        for stream in (self.stdin, self.stdout, self.stderr):
            with suppress(OSError, ValueError):
                stream.close()


def start(command: Command) -> Child:
    """Start a process in a session of its own, with pipes on its three streams and no other descriptor of ours.

    Raises:
        StemsepEnvError: The program is not there or cannot be run.
    """
    try:
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(command.env),
            cwd=command.cwd,
            close_fds=True,
            start_new_session=sys.platform != "win32",
        )
    except OSError as error:
        raise StemsepEnvError(
            f"cannot start {command.argv[0]}: {error.strerror or error}",
            hint=f"to repeat it: {command.shown()}",
            code="cannot_start",
        ) from error
    return Child(command, process)


def _sleep_until_end(pid: int, timeout_seconds: float) -> None:
    """Sleep until a child of ours ends or the time is over; may return early.

    With a deadline, Popen only looks every 50 ms whether the child has ended: four tools a build, a fifth of a second.
    """
    if sys.platform != "linux":
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


def words_for_status(status: int) -> str:
    """Say how a process ended: ``exit status 2``, or ``killed by SIGKILL (often: out of memory)``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    notes = {"SIGKILL": " (often: the system ran out of memory)", "SIGSEGV": " (a crash in native code)"}
    return f"killed by {name}{notes.get(name, '')}"
