"""Measuring a level: the canary runs inside it for real, and what it tried to do is looked for outside."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.child_process import Child, start
from stemsep_envs.host.command import Command
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import INSIDE_DIR
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.scratch_dirs import scratch_dir, sweep_scratch
from stemsep_envs.sandbox.policy import Axis, AxisState, Level, Limits, Measurement, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ

_PROBE_PATH = INSIDE_DIR / "probe.py"
"""Run as a program; never imported here."""

_PROBE_SECONDS = 20.0
_MEMORY_BYTES = 128 << 20
_PROCESSES = 24
_SCRATCH_PARENT = Path("/tmp")  # noqa: S108 - a folder of our own is made in it; the canaries' neighbours don't matter

_SCRATCH_PREFIX = "stemsep-env-probe-"


@dataclass(frozen=True)
class _Canaries:
    """What the canary is set on, all of it outside of the level."""

    scratch: Path
    secret: Path
    readable: Path
    new_file: Path
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket
    sentinel: Child
    word: str

    def places(self) -> dict[str, str]:
        """Return where everything is, as the canary is told it."""
        return {
            "secret": str(self.secret),
            "secret_dir": str(self.secret.parent),
            "readable": str(self.readable),
            "new_file": str(self.new_file),
            "tcp_port": str(self.tcp.getsockname()[1]),
            "udp_port": str(self.udp.getsockname()[1]),
            "unix_path": str(self.unix.getsockname()),
            "sentinel": str(self.sentinel.pid),
            "daemon_word": self.word,
            "processes": str(_PROCESSES),
            "memory": str(4 * _MEMORY_BYTES),
        }


def measure(level: Level, *, remedies: Mapping[str, str] = MappingProxyType({})) -> Measurement:
    """Run the canary in a level and say per axis what held.

    A level whose worker does not even start, or in which the canary cannot say anything, is not available.

    Args:
        level: The level.
        remedies: What helps where a tool says certain words, in place of what helps at most levels.
    """
    remedies = {**_REMEDIES, **remedies}
    with _canaries() as canaries:
        work = ensure_dir(canaries.scratch / "work")
        policy = Policy(
            readable=(*interpreter_dirs(), _PROBE_PATH, canaries.readable),
            writable_dir=work,
            env=worker_environ(work, keep_memory=False),
            limits=Limits(memory_bytes=_MEMORY_BYTES, processes=_PROCESSES),
        )
        argv = (sys.executable, "-I", "-S", str(_PROBE_PATH), json.dumps(canaries.places()))
        with ExitStack() as stack:
            try:
                command = stack.enter_context(level.confine(argv, policy))
                done = run(command, timeout_seconds=_PROBE_SECONDS)
                said = json.loads(done.stdout) if done.status == 0 else None
            except (StemsepEnvError, ValueError, OSError) as error:
                return Measurement.unavailable(f"its probe could not be run: {error}", _remedy(str(error), remedies))
            if not isinstance(said, dict):
                return Measurement.unavailable(*_explained(done, remedies))
            whole_tree = getattr(getattr(command, "groups", None), "bounds_memory", False)
        happened = {name: "did" in answer for name, answer in said.items()} | _seen_outside(canaries, said)
        return Measurement(available=True, axes=_axes(happened, whole_tree=whole_tree), reason=_words(happened))


@contextmanager
def _canaries() -> Iterator[_Canaries]:
    sweep_scratch(_SCRATCH_PARENT, _SCRATCH_PREFIX)
    with scratch_dir(_SCRATCH_PARENT, _SCRATCH_PREFIX) as scratch, ExitStack() as stack:
        # Open to every user, so that only the level can be what keeps the canary out, also where it stops being root.
        secret_dir, open_dir = ensure_dir(scratch / "secret"), ensure_dir(scratch / "open")
        for folder, mode in ((scratch, 0o755), (secret_dir, 0o755), (open_dir, 0o777)):
            folder.chmod(mode)
        word = secrets.token_hex(16)
        secret, readable = secret_dir / "secret.txt", scratch / "readable.txt"
        for file in (secret, readable):
            write_atomic(file, word.encode())
        secret.chmod(0o644)
        readable.chmod(0o666)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        unix.bind(str(open_dir / "socket"))
        (open_dir / "socket").chmod(0o777)
        for listener in (tcp, udp, unix):
            listener.setblocking(False)
        sleeping = (sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()")
        sentinel = start(Command(sleeping, {}, scratch))
        stack.callback(sentinel.kill_tree)
        yield _Canaries(scratch, secret, readable, open_dir / "new.txt", tcp, udp, unix, sentinel, word)


def _seen_outside(canaries: _Canaries, said: Mapping[str, Any]) -> dict[str, bool]:
    """Say of each attempt whose effect can be seen whether it had it, whatever the canary says."""
    return {
        "read": canaries.word in str(said.get("read")),
        "create": canaries.new_file.exists(),
        "append": canaries.readable.read_text(encoding="utf-8") != canaries.word,
        "chmod": canaries.secret.stat().st_mode & 0o777 != 0o644,
        "tcp": _was_reached(canaries.tcp.accept),
        "udp": _was_reached(lambda: canaries.udp.recv(64)),
        "unix": _was_reached(lambda: canaries.unix.recv(64)),
        "signal": canaries.sentinel.poll() is not None,
        # Where processes can't be looked through, nothing is known of it.
        "daemon": not Path("/proc/self").exists() or _end_daemons(canaries.word),
        "processes": said.get("processes", {}).get("did", 0) >= 2 * _PROCESSES,
    }


def _was_reached(receive: Callable[[], object]) -> bool:
    try:
        receive()
    except BlockingIOError:
        return False
    return True


def _end_daemons(word: str) -> bool:
    """Kill the processes that carry the canary's word on their command line; say whether there were any."""
    found = False
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                os.kill(int(folder.name), signal.SIGKILL)
                found = True
    return found


def _axes(happened: Mapping[str, bool], *, whole_tree: bool) -> dict[Axis, AxisState]:
    def state(open_by: tuple[str, ...], limited_by: tuple[str, ...] = ()) -> AxisState:
        if any(happened.get(name, True) for name in open_by):  # what was not tried is not held
            return "open"
        return "limited" if any(happened.get(name, True) for name in limited_by) else "held"

    memory = state(("memory",))
    return {
        "files_read": state(("read",), ("list", "stat")),
        "files_written": state(("create", "append"), ("chmod",)),
        "network": state(("tcp", "udp", "unix")),
        "processes": state(("signal", "daemon"), ("see", "processes")),
        "system_calls": state(("user namespace", "io_uring", "bpf", "keyctl")),
        # Resource limits bind each process, not all of them together.
        "memory": "limited" if memory == "held" and not whole_tree else memory,
        "gpu": state(("device",)),
    }


_MEANINGS = {
    "read": "other files can be read",
    "list": "other folders can be listed",
    "stat": "sizes and times of other files can be seen",
    "create": "files can be made elsewhere",
    "append": "read-only files can be written",
    "chmod": "modes of other files can be changed",
    "tcp": "TCP reaches this machine",
    "udp": "UDP reaches this machine",
    "unix": "unix sockets of this machine can be reached",
    "signal": "other processes can be ended",
    "see": "other processes can be seen",
    "daemon": "a daemon outlives its worker",
    "processes": "the number of processes is not bounded",
    "user namespace": "user namespaces can be made",
    "io_uring": "io_uring can be used",
    "bpf": "bpf can be used",
    "keyctl": "the kernel's keys can be used",
    "device": "devices can be opened",
    "memory": "memory is not bounded",
}


def _words(happened: Mapping[str, bool]) -> str:
    through = [words for name, words in _MEANINGS.items() if happened.get(name)]
    return "; ".join(through) if through else "every probe was stopped"


_REMEDIES = {
    "CAP_KILL is missing": """
        give the container CAP_KILL as well, take all capabilities from it, or start as an ordinary user""",
    "setting up uid map: Permission denied": """
        this system's AppArmor denies user namespaces to bubblewrap (Ubuntu 23.10 and later): load a profile for
        /usr/bin/bwrap that allows `userns` (docs/how-to/enable-a-sandbox-level.md has it)""",
    "No permissions to create new namespace": """
        allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian, Arch) and user.max_user_namespaces
        above 0; inside a container use the landlock level""",
    "Creating new namespace failed": """
        user namespaces are used up or switched off: raise user.max_user_namespaces; inside a container use the
        landlock level""",
    "Can't mount proc": """
        the container hides parts of /proc, so another /proc cannot be mounted: use the landlock level""",
    "Unknown option": """
        bubblewrap is too old: install 0.8 or newer""",
    "cannot make a user namespace": """
        root may not make namespaces here (a container): use the landlock level""",
    "open_tree": """
        root may not make mounts here (a container): use the landlock level""",
    "unshare": """
        root may not make namespaces here (a container): use the landlock level""",
    "Operation not permitted": """
        something forbids it, usually the container's own filter: use the landlock level""",
}
"""What tools say when a level is not available, and what helps."""


def _explained(done: Completed, remedies: Mapping[str, str]) -> tuple[str, str]:
    lines = done.stderr.strip().splitlines()
    said = lines[-1] if lines else f"exit status {done.status}"
    return f"its probe could not be run: {said}", _remedy(done.stderr, remedies)


def _remedy(said: str, remedies: Mapping[str, str]) -> str:
    found = next(
        (remedy for words, remedy in remedies.items() if words in said), "see docs/how-to/enable-a-sandbox-level.md"
    )
    return " ".join(found.split())
