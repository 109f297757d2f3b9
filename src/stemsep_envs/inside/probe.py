"""The canary that runs inside a level: it tries what must not be possible and says how each attempt went for it.

Run by path with a JSON object of places on its command line; prints a JSON object. Whether an attempt had its effect is
not for it to say: `probing` looks from outside wherever there is something to see.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_SYS_IO_URING_SETUP = 425
_UNSHARE, _BPF, _KEYCTL, _PERF = {
    "x86_64": (272, 321, 250, 298),
    "aarch64": (97, 280, 219, 241),
}.get(os.uname().machine, (0, 0, 0, 0))
_CLONE_NEWUSER = 0x10000000

_LINUX_ONLY = {"see", "user namespace", "io_uring", "bpf", "keyctl"}

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Try everything and print what came of it."""
    places = json.loads(sys.argv[1])
    attempts: Mapping[str, Callable[[Mapping[str, str]], object]] = {
        "read": lambda at: Path(at["secret"]).read_text(encoding="utf-8"),
        "list": lambda at: os.listdir(at["secret_dir"]),
        "stat": lambda at: os.stat(at["secret"]).st_size,
        "create": lambda at: Path(at["new_file"]).write_text("made inside", encoding="utf-8"),
        "append": lambda at: _append(at["readable"]),
        "chmod": lambda at: os.chmod(at["secret"], 0o604),
        "tcp": lambda at: socket.create_connection(("127.0.0.1", int(at["tcp_port"])), timeout=1).close(),
        "udp": lambda at: _send(socket.AF_INET, ("127.0.0.1", int(at["udp_port"]))),
        "unix": lambda at: _send(socket.AF_UNIX, at["unix_path"]),
        "signal": lambda at: os.kill(int(at["sentinel"]), 9),
        "see": lambda at: os.stat(f"/proc/{at['sentinel']}").st_uid,
        "daemon": lambda at: _daemon(at["daemon_word"]),
        "processes": lambda at: _fork_many(int(at["processes"])),
        "user namespace": lambda at: _call(_UNSHARE, _CLONE_NEWUSER),
        "io_uring": lambda at: _call(_SYS_IO_URING_SETUP, 1, ctypes.create_string_buffer(120)),
        "bpf": lambda at: _call(_BPF, 0, ctypes.create_string_buffer(72), 72),
        "keyctl": lambda at: _call(_KEYCTL, 0, -3, 0),
        "device": lambda at: _open_any_device(),
        "memory": lambda at: _survives_using(int(at["memory"])),
    }
    report: dict[str, object] = {}
    for name, attempt in attempts.items():
        if name in _LINUX_ONLY and sys.platform != "linux":
            continue
        try:
            report[name] = {"did": attempt(places)}
        except Exception as error:
            report[name] = {"failed": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(report))


def _append(path: str) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.write("changed inside")


def _send(family: int, address: tuple[str, int] | str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(b"from inside", address)


def _call(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _daemon(word: str) -> None:
    """Leave a process behind: forked twice, in a session of its own where that is allowed."""
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", word], {})
        os._exit(0)
    os.waitpid(child, 0)


def _fork_many(most: int) -> int:
    """Fork until it fails, to at most twice the limit; return how many children there were at once."""
    read_end, write_end = os.pipe()
    children: list[int] = []
    with suppress(OSError):
        while len(children) < 2 * most:
            child = os.fork()
            if child == 0:
                os.close(write_end)
                os.read(read_end, 1)
                os._exit(0)
            children.append(child)
    os.close(write_end)
    for child in children:
        os.waitpid(child, 0)
    os.close(read_end)
    return len(children)


def _open_any_device() -> str:
    """Open one of the machine's devices that a worker has no business with, and say which."""
    folder = Path("/dev")
    patterns = ("nvidia*", "kfd", "dri/*", "dxg", "snd/*", "kvm", "fuse", "kmsg", "input/event*", "video*", "net/tun")
    for device in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        return str(device)
    raise PermissionError("none")


def _survives_using(size: int) -> bool:
    """Use memory in a child and say whether it lived."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with mmap.mmap(-1, size) as block:
                for offset in range(0, size, mmap.PAGESIZE):
                    block[offset] = 1
                status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            if status == 0:
                return True
            break
        time.sleep(0.002)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
    raise MemoryError(f"wait status {status}")


if __name__ == "__main__":
    main()
