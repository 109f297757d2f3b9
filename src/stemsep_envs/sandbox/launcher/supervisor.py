"""Starting the worker in a process group of its own, watching over it, and ending all of it.

Whoever ends first, nothing of the worker stays. Its group is killed at once, which no fork outruns, by the launcher at
the worker's or the host's end, or by a guardian inside the group at the launcher's own sudden end. (At the strong
levels no process of the worker can leave the group, or all are in a process namespace that ends with it.)
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # without the enumerations that make `signal` slow
import mmap
import os
import select

from stemsep_envs.host.process_tree import children_of
from stemsep_envs.sandbox.launcher import (
    DISK_FULL,
    HOST_GONE,
    OWN_STATUSES,
    SETUP_FAILED,
    TOO_MUCH_OUTPUT,
    kernel,
    output_size,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SIGHUP, _SIGINT, _SIGKILL, _SIGPIPE, _SIGTERM, _SIGCHLD, _SIGXFSZ = 1, 2, 9, 13, 15, 17, 25
_LOOK_SECONDS = 0.5
"""How often the outputs are measured, and orphans collected."""

_DYING_SECONDS = 0.002
"""How long the dying are given before the living are looked for again."""

_MOST_ORPHANS = 1000
"""Collected at once: a worker can make them as fast as they are collected."""


class Worker:
    """A worker that was started.

    Attributes:
        pid: Its process id.
        guardian: The process id of its guardian, which is also the id of their process group.
    """

    def __init__(self, pid: int, guardian: int, unconfined: mmap.mmap) -> None:
        self.pid, self.guardian = pid, guardian
        self._unconfined = unconfined

    def reported(self, status: int) -> int:
        """Return its own wait status; one of the launcher's exit statuses in it would be a lie."""
        if status & 0x7F or status >> 8 not in OWN_STATUSES:
            return status
        return status if status >> 8 == SETUP_FAILED and self._unconfined[0] else 1 << 8


def start(become_worker: Callable[[], NoReturn]) -> Worker:
    """Start the guardian and, in its process group, the worker.

    Args:
        become_worker: Confines the calling process and executes the worker's program.
    """
    kernel.adopt_orphans()
    _be_told_of_children()
    unconfined = mmap.mmap(-1, 1)  # shared, until the worker's program is executed
    lifeline_read, lifeline_write = os.pipe()  # its write end closes when this process ends, however it ends
    guardian = os.fork()
    if guardian == 0:
        try:
            os.setpgid(0, 0)
            os.close(lifeline_write)
            _ignore_polite_signals()
            _let_go_of_pipes()
            os.read(lifeline_read, 1)
        finally:
            os.killpg(0, _SIGKILL)
            os._exit(1)
    os.setpgid(guardian, guardian)
    worker = os.fork()
    if worker == 0:
        try:
            os.setpgid(0, guardian)
            kernel.set_signal(_SIGPIPE, kernel.SIGNAL_DEFAULT)
            kernel.set_signal(_SIGXFSZ, kernel.SIGNAL_DEFAULT)
            os.close(lifeline_read)
            os.close(lifeline_write)
            become_worker()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nothing unconfined may run on
            unconfined[0] = 1
            os.write(2, f"stemsep-env: cannot confine the worker: {error}\n".encode(errors="replace"))
        finally:
            os._exit(SETUP_FAILED)
    try:
        os.setpgid(worker, guardian)  # both sides do it, so that it is done whoever runs first
    except PermissionError:
        pass  # it has executed its program already, and so has done it
    os.close(lifeline_read)
    _ignore_polite_signals()
    _let_go_of_pipes()
    return Worker(worker, guardian, unconfined)


def _be_told_of_children() -> None:
    """Undo what a host may hand down: with SIGCHLD ignored, the kernel forgets how a child ended."""
    kernel.set_signal(_SIGCHLD, kernel.SIGNAL_DEFAULT)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _ignore_polite_signals() -> None:
    for number in (_SIGHUP, _SIGINT, _SIGTERM):
        kernel.set_signal(number, kernel.SIGNAL_IGNORE)


def _let_go_of_pipes() -> None:
    """Hold none of the worker's pipes open: their ends must close when the worker ends."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def wait(worker: Worker, host_fd: int, output: tuple[str, int, str | None] | None) -> int:
    """Wait until the worker ends, the host is gone or the outputs grow too large.

    Args:
        worker: The worker.
        host_fd: The host's process descriptor.
        output: The folder whose size is bounded, its bound in bytes, and a file with the bound of the moment.

    Returns:
        The worker's wait status, or one that says why it is to be killed.
    """
    worker_fd = kernel.pidfd_open(worker.pid)
    asked_fd = _on_being_asked()
    watched = (worker_fd, host_fd, asked_fd)
    disk = output_size.Disk(output[0]) if output else None
    while True:
        ready, _, _ = select.select(watched, (), (), _LOOK_SECONDS)
        if worker_fd in ready:
            return worker.reported(os.waitpid(worker.pid, 0)[1])
        if host_fd in ready:
            return HOST_GONE << 8
        if asked_fd in ready:
            return _SIGKILL
        _collect_orphans(worker.pid)
        if disk and disk.is_full():
            return DISK_FULL << 8
        if output and output_size.holds_more(output[0], _most_now(output[1], output[2]), lambda: _is_ready(watched)):
            return TOO_MUCH_OUTPUT << 8


def _is_ready(descriptors: tuple[int, ...]) -> bool:
    return bool(select.select(descriptors, (), (), 0)[0])


def _on_being_asked() -> int:
    """Return a descriptor that becomes readable when the host asks, by SIGTERM, that the worker be ended.

    A worker at a level that is a boundary can't ask; one at none could end its launcher by SIGKILL as well.
    """
    read, write = os.pipe()
    _signal.signal(_SIGTERM, lambda *_: os.write(write, b"!"))
    return read


def _collect_orphans(worker: int) -> None:
    """Collect what ended and was left to this process, so that it does not count as a process any more."""
    for _ in range(_MOST_ORPHANS):
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid == worker:
            return
        os.waitpid(ended.si_pid, 0)


def _most_now(most_bytes: int, file: str | None) -> int:
    if file is None:
        return most_bytes
    try:
        with open(file, encoding="ascii") as stream:
            return int(stream.read(32))
    except (OSError, ValueError):
        return most_bytes


def end(guardian: int) -> None:
    """Kill the worker's whole process group and, one after another, whatever of it left the group; collect them all.

    What loses its parent becomes a child of this process, so a daemon is found however it hid.
    """
    try:
        os.killpg(guardian, _SIGKILL)
        os.waitpid(guardian, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for child in children_of(os.getpid()):
            try:
                os.kill(child, _SIGKILL)
            except OSError:
                pass  # it ended meanwhile
        select.select((), (), (), _DYING_SECONDS)


def run_afterwards(command: list[str], env: dict[str, str]) -> None:
    """Run a program to its end; what becomes of it changes nothing. An empty command is none."""
    if not command:
        return
    process = os.fork()
    if process == 0:
        try:
            os.execve(command[0], command, env)
        finally:
            os._exit(SETUP_FAILED)
    os.waitpid(process, 0)


def leave(status: int, *, statuses_are_signals: bool) -> NoReturn:
    """End as the worker did: with its exit status, or by its signal.

    Args:
        status: A wait status.
        statuses_are_signals: Whether 128 + N means a death by signal N, as bubblewrap tells it.
    """
    signal = status & 0x7F
    code = status >> 8
    if not signal and statuses_are_signals and 128 < code < 128 + 65:
        signal = code - 128
    if signal:
        kernel.leave_no_core()  # the crash was the worker's
        kernel.set_signal(signal, kernel.SIGNAL_DEFAULT)
        os.kill(os.getpid(), signal)
    os._exit(code)
