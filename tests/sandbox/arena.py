"""What the attacks are aimed at, all the tests' own: files, sockets, a process, a terminal."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import resource
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemsep_envs.host.command import Command
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import LevelName, Limits, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ

INSIDE = Path(__file__).with_name("inside.py")

MOST_MEMORY = 160 << 20
MOST_PROCESSES = 40
MOST_FILE = 4 << 20
MOST_OUTPUT = 12 << 20
MOST_TMPFS = 16 << 20

_SENTINEL = """
import ctypes, sys, time
secret = ctypes.create_string_buffer(sys.argv[1].encode())
print(ctypes.addressof(secret), flush=True)
sys.stdin.read()
"""


@dataclass
class Arena:
    """The targets of one attack."""

    folder: Path
    word: str
    places: dict[str, str]
    sentinel: subprocess.Popen[bytes]
    listeners: dict[str, socket.socket]
    terminal: int
    strays: list[int] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return Path(self.places[name])


@dataclass(frozen=True)
class Fight:
    """What an attack printed and how it ended."""

    stdout: str
    stderr: str
    status: int


@contextmanager
def arena() -> Iterator[Arena]:
    """Set everything up, open to every user, so that nothing but the sandbox is in the way; take it down again."""
    word = secrets.token_hex(16)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_dir(Path("/tmp"), "stemsep-env-arena-"))
        folder.chmod(0o755)
        files = {
            "ssh_key": ("home/.ssh/id_ed25519", word),
            "profile": ("home/.profile", "# empty\n"),
            "other_weights": ("models/other/weights.ckpt", word),
            "package": ("environment/site-packages/package.py", "original"),
            "input": ("inputs/song.wav", "original"),
        }
        places = {}
        for name, (path, content) in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            file.chmod(0o666)
            places[name] = str(file)
        with suppress(OSError):  # a file system without extended attributes
            os.setxattr(places["ssh_key"], "user.word", word.encode())
        link = folder / "environment" / "link"
        link.symlink_to(places["ssh_key"])
        for inner in (path for path in folder.rglob("*") if path.is_dir()):
            inner.chmod(0o777)
        work = folder / "work"
        work.mkdir()
        listeners, addresses = _listeners(stack, folder)
        sentinel = stack.enter_context(_sentinel(word))
        main, side = os.openpty()
        stack.callback(os.close, main)
        stack.callback(os.close, side)
        os.chmod(os.ttyname(side), 0o666)
        assert sentinel.stdout is not None
        places |= addresses | {
            "home": str(folder / "home"),
            "work": str(work),
            "link_to_key": str(link),
            "tmp_file": f"/tmp/stemsep-env-{word}",
            "shm_file": f"/dev/shm/stemsep-env-{word}",
            "sentinel": str(sentinel.pid),
            "address": sentinel.stdout.readline().decode().strip(),
            "terminal": os.ttyname(side),
            "shm_id": str(stack.enter_context(_shared_memory(word))),
            "word": word,
            "most_memory": str(MOST_MEMORY),
            "most_processes": str(MOST_PROCESSES),
            "most_file": str(MOST_FILE),
            "most_output": str(MOST_OUTPUT),
            "most_tmpfs": str(MOST_TMPFS),
        }
        for name in ("tmp_file", "shm_file"):
            stack.callback(Path(places[name]).unlink, missing_ok=True)
        stack.callback(end_processes_with, f"daemon-{word}")
        yield Arena(folder, word, places, sentinel, listeners, main)


def _listeners(stack: ExitStack, folder: Path) -> tuple[dict[str, socket.socket], dict[str, str]]:
    abstract = f"stemsep-env-{secrets.token_hex(8)}"
    tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    tcp.setsockopt(socket.IPPROTO_TCP, 23, 16)  # TCP_FASTOPEN
    tcp.bind(("127.0.0.1", 0))
    listeners = {"tcp": tcp}
    with suppress(OSError):
        listeners["tcp6"] = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
    for name, family, kind, address in (
        ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        ("unix_stream", socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "stream")),
        ("unix_datagram", socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "datagram")),
        ("unix_abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
    ):
        listeners[name] = stack.enter_context(socket.socket(family, kind))
        listeners[name].bind(address)
    for name, listener in listeners.items():
        if name not in {"udp", "unix_datagram"}:
            listener.listen()
        listener.setblocking(False)
    for name in ("stream", "datagram"):
        (folder / name).chmod(0o777)
    return listeners, {
        "tcp_port": str(tcp.getsockname()[1]),
        "tcp6_port": str(listeners["tcp6"].getsockname()[1]) if "tcp6" in listeners else "0",
        "udp_port": str(listeners["udp"].getsockname()[1]),
        "unix_stream": str(folder / "stream"),
        "unix_datagram": str(folder / "datagram"),
        "unix_abstract": abstract,
    }


@contextmanager
def _sentinel(word: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the user's own: a secret in its memory and in its environment, and something to lose."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SENTINEL, word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"SECRET": word},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def _shared_memory(word: str) -> Iterator[int]:
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = int(libc.shmget(0, 4096, 0o1666))
    try:
        if segment >= 0:
            address = ctypes.c_void_p(libc.shmat(segment, None, 0))
            ctypes.memmove(address, word.encode(), len(word))
            libc.shmdt(address)
        yield segment
    finally:
        libc.shmctl(segment, 0, None)


def policy_of(arena: Arena, **limits: Any) -> Policy:
    """The policy of a worker in the arena: its environment and inputs to read, its work folder to write."""
    work = arena.path("work")
    bounds: dict[str, Any] = {
        "memory_bytes": MOST_MEMORY,
        "processes": MOST_PROCESSES,
        "file_bytes": MOST_FILE,
        "output_bytes": MOST_OUTPUT,
        "tmpfs_bytes": MOST_TMPFS,
    }
    readable = (*interpreter_dirs(), INSIDE, arena.folder / "environment", arena.folder / "inputs")
    return Policy(readable, work, worker_environ(work, keep_memory=False), Limits(**{**bounds, **limits}))


def fight(attack: str, level: LevelName | None, arena: Arena) -> Fight:
    """Carry an attack out: in a level, or (None) with nothing in the way, which must work for the attack to count."""
    argv = (sys.executable, "-I", "-S", str(INSIDE), attack, json.dumps(arena.places))
    if level is None:
        return _run(Command(argv, os.environ, arena.path("work")), arena)
    with level_named(level).confine(argv, policy_of(arena)) as command:
        return _run(command, arena)


def _run(command: Command, arena: Arena) -> Fight:
    """Run as `host.child_process` does, but leaking on purpose what a host may hold open."""
    secret = os.open(arena.places["ssh_key"], os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(command.env),
            cwd=command.cwd,
            close_fds=False,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    finally:
        os.close(secret)
    try:
        said = _answer_it(process, arena)
        stdout, stderr = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        said = ""
    return Fight(said + stdout, stderr, process.returncode)


def _answer_it(process: subprocess.Popen[str], arena: Arena) -> str:
    """Play the host's part in an attack that waits for it: use the folder it watches, call the port it opened."""
    assert process.stdout is not None
    line = ""
    if select.select([process.stdout], [], [], 30)[0]:
        line = process.stdout.readline()
    if line.startswith("watching"):
        (arena.path("home") / f"seen-{arena.word}").touch()
    if line.startswith("port "):
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(line.split()[1])), timeout=2) as client:
            client.settimeout(2)
            line += f"answered: {client.recv(100)!r}\n"
    return line


class Said:
    """Takes what a process prints, and gives its first line."""

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes] = queue.Queue()

    def __call__(self, block: bytes) -> None:
        if block:
            self._lines.put(block)

    def line(self) -> str:
        return self._lines.get(timeout=30).decode()


def processes_with(word: str) -> list[int]:
    """The processes that carry a word among their arguments, other than this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def end_processes_with(word: str) -> None:
    for pid in processes_with(word):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def gone_soon(word: str, seconds: float = 5.0) -> bool:
    """Whether no process carries the word, now or in a moment: the dead take one to be gone."""
    deadline = time.monotonic() + seconds
    while processes_with(word):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def reached(listener: socket.socket) -> bool:
    with suppress(BlockingIOError):
        if listener.type == socket.SOCK_DGRAM:
            return bool(listener.recv(64))
        listener.accept()[0].close()
        return True
    return False


def sentinel_limit(arena: Arena) -> int:
    return resource.prlimit(arena.sentinel.pid, resource.RLIMIT_NOFILE)[0]
