"""Running a command to its end: its output collected, its deadline kept, nothing of it left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import LimitError
from stemsep_envs.host.child_process import LAST_WORDS_SECONDS, start
from stemsep_envs.host.command import Command

_KEEP_BYTES = 1 << 20
"""Of each stream no more than this is kept: the end, which holds what matters."""


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
            child.drain(LAST_WORDS_SECONDS)
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
