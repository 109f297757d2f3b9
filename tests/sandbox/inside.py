"""The attacks, as a worker would carry them out: ``inside.py NAME PLACES`` runs one of them.

Each is a function that tries its worst and prints what it got. It knows where everything is (the places); whether it
had an effect is looked at from outside. Only ever run against the tests' own sandbox, files, sockets and processes.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import pickle
import resource
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

Places = dict[str, str]

_libc = ctypes.CDLL(None, use_errno=True)
_X86 = os.uname().machine == "x86_64"


def syscall(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# ------------------------------------------------------------------------------------------------------------- reading


def read_ssh_key(at: Places) -> object:
    return Path(at["ssh_key"]).read_text()


def read_other_weights(at: Places) -> object:
    return Path(at["other_weights"]).read_text()


def read_through_a_link(at: Places) -> object:
    """The link lies in a folder that may be read; where it leads does not."""
    return Path(at["link_to_key"]).read_text()


def read_through_own_link(at: Places) -> object:
    link = Path(at["work"]) / "link"
    link.symlink_to(at["ssh_key"])
    return link.read_text()


def list_home(at: Places) -> object:
    return os.listdir(at["home"])


def stat_key(at: Places) -> object:
    return f"size {os.stat(at['ssh_key']).st_size}"


def read_users(at: Places) -> object:
    return Path("/etc/passwd").read_text()


def read_environment(at: Places) -> object:
    return dict(os.environ)


def read_environment_of_others(at: Places) -> object:
    return Path(f"/proc/{at['sentinel']}/environ").read_bytes()


def read_memory_file(at: Places) -> object:
    descriptor = os.open(f"/proc/{at['sentinel']}/mem", os.O_RDONLY)
    return os.pread(descriptor, 64, int(at["address"]))


def read_memory_call(at: Places) -> object:
    buffer = ctypes.create_string_buffer(64)
    local = struct.pack("PN", ctypes.addressof(buffer), 64)
    remote = struct.pack("PN", int(at["address"]), 64)
    syscall(310 if _X86 else 270, int(at["sentinel"]), local, 1, remote, 1, 0)
    return buffer.raw


def read_inherited_descriptors(at: Places) -> object:
    found = []
    for descriptor in range(3, 256):
        try:
            found.append(os.pread(descriptor, 100, 0))
        except OSError:
            continue
    return found


def read_through_root_descriptor(at: Places) -> object:
    """/proc/<pid>/root leads to the host's root where it can be followed."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            return (folder / "root" / at["ssh_key"].lstrip("/")).read_text()
        except OSError:
            continue
    return None


def watch_folder(at: Places) -> object:
    descriptor = int(_libc.inotify_init1(os.O_CLOEXEC))
    if descriptor < 0 or int(_libc.inotify_add_watch(descriptor, at["home"].encode(), 0x100)) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    print("watching", flush=True)  # the arena now makes a file in it
    return os.read(descriptor, 4096)


def read_by_handle(at: Places) -> object:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + b"\0" * 128)
    mount_id = ctypes.c_int()
    syscall(303 if _X86 else 264, -100, at["ssh_key"].encode(), handle, ctypes.byref(mount_id), 0)
    folder = os.open(at["work"], os.O_RDONLY)
    descriptor = syscall(304 if _X86 else 265, folder, handle, os.O_RDONLY)
    return os.read(descriptor, 100)


def read_shared_memory(at: Places) -> object:
    _libc.shmat.restype = ctypes.c_void_p
    address = _libc.shmat(int(at["shm_id"]), None, 0o10000)
    if address in {None, ctypes.c_void_p(-1).value}:
        raise OSError(ctypes.get_errno(), "shmat")
    return ctypes.string_at(address, 64)


def read_attribute(at: Places) -> object:
    return os.getxattr(at["ssh_key"], "user.word")


def read_disk(at: Places) -> object:
    for device in (*Path("/dev").glob("vd*"), *Path("/dev").glob("sd*"), *Path("/dev").glob("nvme*n*")):
        try:
            os.close(os.open(device, os.O_RDONLY))
        except OSError:
            continue
        return "opened a disk"
    return None


# ------------------------------------------------------------------------------------------------------------- writing


def write_home(at: Places) -> object:
    return (Path(at["home"]) / "made-inside").write_text("x")


def append_to_profile(at: Places) -> object:
    with Path(at["profile"]).open("a") as stream:
        return stream.write("echo made inside\n")


def write_host_tmp(at: Places) -> object:
    return Path(at["tmp_file"]).write_text("x")


def write_host_shm(at: Places) -> object:
    return Path(at["shm_file"]).write_text("x")


def overwrite_package(at: Places) -> object:
    return Path(at["package"]).write_text("x")


def plant_pth(at: Places) -> object:
    return (Path(at["package"]).parent / "evil.pth").write_text("import os\n")


def rename_package(at: Places) -> None:
    os.rename(at["package"], at["package"] + ".old")


def remove_package(at: Places) -> None:
    os.unlink(at["package"])


def replace_package(at: Places) -> None:
    own = Path(at["work"]) / "own.py"
    own.write_text("made inside")
    os.rename(own, at["package"])


def truncate_package(at: Places) -> None:
    os.truncate(at["package"], 0)


def chmod_key(at: Places) -> None:
    os.chmod(at["ssh_key"], 0o640)


def touch_key(at: Places) -> None:
    os.utime(at["ssh_key"], (1, 1))


def label_key(at: Places) -> None:
    os.setxattr(at["ssh_key"], "user.made", b"inside")


def write_through_hard_link(at: Places) -> object:
    link = Path(at["work"]) / "link.py"
    os.link(at["package"], link)
    return link.write_text("made inside")


def write_through_symlink(at: Places) -> object:
    link = Path(at["work"]) / "link.py"
    link.symlink_to(at["package"])
    return link.write_text("made inside")


def write_through_reopened_descriptor(at: Places) -> object:
    descriptor = os.open(at["package"], os.O_RDONLY)
    with open(f"/proc/self/fd/{descriptor}", "w") as stream:
        return stream.write("made inside")


def write_input(at: Places) -> object:
    return Path(at["input"]).write_text("made inside")


def write_through_linked_descriptor(at: Places) -> object:
    """What was opened to read gets a name in a folder that may be written."""
    descriptor = os.open(at["package"], os.O_RDONLY)
    link = Path(at["work"]) / "linked.py"
    if int(_libc.linkat(-100, f"/proc/self/fd/{descriptor}".encode(), -100, str(link).encode(), 0x400)) < 0:
        raise OSError(ctypes.get_errno(), "linkat")
    return link.write_text("made inside")


def flag_package(at: Places) -> None:
    descriptor = os.open(at["package"], os.O_RDONLY)
    fcntl.ioctl(descriptor, 0x40086602, struct.pack("l", 0x40))  # FS_IOC_SETFLAGS, no dump


def lease_input(at: Places) -> object:
    """Whoever opens it from then on waits until the lease is given back."""
    fcntl.fcntl(os.open(at["input"], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
    return "leased"


def leave_set_id_chmod(at: Places) -> None:
    made = Path(at["work"]) / "set-id"
    made.write_text("x")
    os.chmod(made, 0o6755)


def leave_set_id_open(at: Places) -> object:
    os.umask(0)
    return os.open(Path(at["work"]) / "set-id", os.O_CREAT | os.O_WRONLY, 0o4755)


def leave_device(at: Places) -> None:
    os.mknod(Path(at["work"]) / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))


def write_into_dev(at: Places) -> object:
    made = Path("/dev/stemsep-env-made-inside")
    made.write_text("x")
    made.unlink()
    return "made a file in /dev"


def open_kernel_setting(at: Places) -> object:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "opened core_pattern for writing"


def write_root_folder(at: Places) -> object:
    made = Path("/stemsep-env-made-inside")
    made.write_text("x")
    made.unlink()
    return "made a file in /"


# ------------------------------------------------------------------------------------------------------------- network


def tcp(at: Places) -> None:
    socket.create_connection(("127.0.0.1", int(at["tcp_port"])), timeout=2).sendall(b"x")


def tcp6(at: Places) -> None:
    socket.create_connection(("::1", int(at["tcp6_port"])), timeout=2).sendall(b"x")


def tcp_fast_open(at: Places) -> object:
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    return client.sendto(b"x", 0x20000000, ("127.0.0.1", int(at["tcp_port"])))


def mptcp(at: Places) -> None:
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    client.connect(("127.0.0.1", int(at["tcp_port"])))


def udp(at: Places) -> object:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return client.sendto(b"x", ("127.0.0.1", int(at["udp_port"])))


def unix_stream(at: Places) -> None:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(at["unix_stream"])


def unix_datagram(at: Places) -> object:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    return client.sendto(b"x", at["unix_datagram"])


def unix_datagram_of_a_pair(at: Places) -> object:
    client, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return client.sendto(b"x", at["unix_datagram"])


def unix_abstract(at: Places) -> None:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect("\0" + at["unix_abstract"])


def serve(at: Places) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    print(f"port {server.getsockname()[1]}", flush=True)  # the arena now connects to it
    server.settimeout(5)
    server.accept()[0].sendall(b"from inside")


def netlink(at: Places) -> object:
    names = [name for _, name in socket.if_nameindex()]
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))
    return f"netlink {names}"


def interfaces(at: Places) -> object:
    pair, _ = socket.socketpair()
    names = ctypes.create_string_buffer(4096)
    answer = fcntl.ioctl(pair, 0x8912, struct.pack("iP", 4096, ctypes.addressof(names)))  # SIOCGIFCONF
    return [names.raw[at : at + 16].rstrip(b"\0").decode() for at in range(0, struct.unpack_from("i", answer)[0], 40)]


def vsock(at: Places) -> object:
    socket.socket(40, socket.SOCK_STREAM)
    return "made a vsock socket"


def packet(at: Places) -> object:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return "made a raw socket"


# ----------------------------------------------------------------------------------------------------------- processes


def kill_sentinel(at: Places) -> None:
    os.kill(int(at["sentinel"]), signal.SIGKILL)


def kill_through_pidfd(at: Places) -> None:
    signal.pidfd_send_signal(os.pidfd_open(int(at["sentinel"])), signal.SIGKILL)


def kill_through_descriptor(at: Places) -> None:
    """A pipe that has something to read sends a signal to whom it belongs."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, int(at["sentinel"]))
    fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(writing, b"x")
    time.sleep(0.1)


def trace_sentinel(at: Places) -> object:
    syscall(101 if _X86 else 117, 0x4206, int(at["sentinel"]), 0, 0)  # PTRACE_SEIZE
    return "traced"


def steal_descriptor(at: Places) -> object:
    descriptor = syscall(438, os.pidfd_open(int(at["sentinel"])), 0, 0)
    return f"took descriptor {descriptor}"


def slow_sentinel(at: Places) -> None:
    os.setpriority(os.PRIO_PROCESS, int(at["sentinel"]), 15)


def bind_sentinel(at: Places) -> None:
    os.sched_setaffinity(int(at["sentinel"]), {min(os.sched_getaffinity(0))})


def limit_sentinel(at: Places) -> object:
    return resource.prlimit(int(at["sentinel"]), resource.RLIMIT_NOFILE, (77, 77))


def see_processes(at: Places) -> object:
    os.stat(f"/proc/{at['sentinel']}")
    return "saw the sentinel"


def daemon(at: Places) -> object:
    """Forked twice, in a session of its own, deaf to polite signals, holding no pipe."""
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            os.setpgid(0, 0)
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            _sleep_as(at)
        os._exit(0)
    os.wait()
    time.sleep(0.1)
    return None


def orphan(at: Places) -> object:
    """Forked once, in the worker's own group."""
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _sleep_as(at)
    time.sleep(0.1)
    return None


def _sleep_as(at: Places) -> None:
    code = "import time; time.sleep(30)"
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code, "daemon-" + at["word"]], {})


def fork_many(at: Places) -> object:
    """Count the children that can be had at once, to twice what is allowed."""
    read_end, write_end = os.pipe()
    count = 0
    try:
        while count < 2 * int(at["most_processes"]):
            if os.fork() == 0:
                os.close(write_end)
                os.read(read_end, 1)
                os._exit(0)
            count += 1
    except OSError:
        pass
    os.close(write_end)
    return f"children {count}"


def _use_memory(size: int) -> None:
    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, size, mmap.PAGESIZE):
        block[offset] = 1


def memory_bomb(at: Places) -> object:
    _use_memory(2 * int(at["most_memory"]))
    return "used it all"


def memory_bomb_of_many(at: Places) -> object:
    """Each child stays below the limit; together they are over it."""
    read_end, write_end = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os.close(write_end)
            _use_memory(int(at["most_memory"]) // 2)
            print("used", flush=True)
            os.read(read_end, 1)
            os._exit(0)
        children.append(child)
    time.sleep(1)
    os.close(write_end)
    if all(os.waitpid(child, 0)[1] == 0 for child in children):
        return "used it all"
    return None


def fill_outputs(at: Places) -> object:
    """Many files, each of a size that is allowed."""
    size = int(at["most_file"]) // 2
    for number in range(2 + 2 * int(at["most_output"]) // size):
        (Path(at["work"]) / f"fill-{number}").write_bytes(b"x" * size)
    time.sleep(2)
    return "filled"


def _fill_folder(folder: int, at: Places) -> object:
    size = int(at["most_file"]) // 2
    for number in range(2 + 2 * int(at["most_output"]) // size):
        with open(os.open(f"fill-{number}", os.O_CREAT | os.O_WRONLY, dir_fd=folder), "wb") as stream:
            stream.write(b"x" * size)
    time.sleep(2)
    return "filled"


def fill_closed_folder(at: Places) -> object:
    """Nobody but root could list it."""
    closed = Path(at["work"]) / "closed"
    closed.mkdir(mode=0o300)
    return _fill_folder(os.open(closed, os.O_PATH | os.O_DIRECTORY), at)


def fill_deep_folder(at: Places) -> object:
    """Deeper than the stack of whoever looks."""
    folder = os.open(at["work"], os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    return _fill_folder(folder, at)


def fill_moving_folder(at: Places) -> object:
    """It has another name whenever it is looked for."""
    name, count = str(Path(at["work"]) / "0"), 0
    os.mkdir(name)
    folder = os.open(name, os.O_RDONLY)
    parent = os.getpid()
    if os.fork() == 0:
        while os.getppid() == parent:
            count += 1
            moved = str(Path(at["work"]) / str(count))
            os.rename(name, moved)
            name = moved
        os._exit(0)
    return _fill_folder(folder, at)


def fill_removed_files(at: Places) -> object:
    """Without names, and open."""
    size, kept = int(at["most_file"]) // 2, []
    for number in range(2 + 2 * int(at["most_output"]) // size):
        path = Path(at["work"]) / f"fill-{number}"
        kept.append(path.open("wb", buffering=0))
        kept[-1].write(b"x" * size)
        path.unlink()
    time.sleep(2)
    return "filled"


def large_file(at: Places) -> object:
    with (Path(at["work"]) / "large").open("wb") as stream:
        stream.truncate(2 * int(at["most_file"]))
    return "large"


def _fill(folder: str, at: Places) -> object:
    size = int(at["most_file"]) // 2
    made = []
    try:
        for number in range(2 + int(at["most_tmpfs"]) // size):
            made.append(Path(folder) / f"stemsep-env-fill-{number}")
            made[-1].write_bytes(b"x" * size)
    except OSError as error:
        return f"stopped: {error}"
    finally:
        for path in made:
            path.unlink(missing_ok=True)
    return "filled"


def fill_tmp(at: Places) -> object:
    return _fill("/tmp", at)


def fill_shm(at: Places) -> object:
    return _fill("/dev/shm", at)


# -------------------------------------------------------------------------------------------- the terminal, the kernel


def write_terminal(at: Places) -> object:
    return os.write(os.open(at["terminal"], os.O_WRONLY | os.O_NOCTTY), at["word"].encode())


def type_into_terminal(at: Places) -> object:
    if os.getsid(0) != os.getpid():
        os.setsid()
    descriptor = os.open(at["terminal"], os.O_RDWR)
    fcntl.ioctl(descriptor, 0x540E, 0)  # TIOCSCTTY
    for letter in b"x\n":
        fcntl.ioctl(descriptor, 0x5412, bytes([letter]))  # TIOCSTI
    return "typed"


def user_namespace(at: Places) -> object:
    if int(_libc.unshare(0x10000000)) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return "made a user namespace"


def user_namespace_by_clone(at: Places) -> object:
    pid = syscall(56 if _X86 else 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "made a user namespace"


def user_namespace_by_clone3(at: Places) -> object:
    arguments = struct.pack("8Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = syscall(435, arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "made a user namespace"


def io_uring(at: Places) -> object:
    syscall(425, 1, ctypes.create_string_buffer(120))
    return "made a ring"


def async_io(at: Places) -> object:
    context = ctypes.c_ulong(0)
    syscall(206 if _X86 else 0, 64, ctypes.byref(context))
    return "made a context"


def watch_itself(at: Places) -> object:
    if int(_libc.inotify_init1(os.O_CLOEXEC)) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    return "made a watch"


def core_dump(at: Places) -> object:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return "changed the limit"


def bpf(at: Places) -> object:
    attributes = struct.pack("IIII", 2, 4, 8, 1) + b"\0" * 112  # an array of one
    syscall(321 if _X86 else 280, 0, attributes, len(attributes))
    return "made a map"


def keys(at: Places) -> object:
    key = syscall(248 if _X86 else 217, b"user", b"stemsep-env", b"x", 1, -1)  # a key of this process alone
    return f"made key {key}"


def userfaultfd(at: Places) -> object:
    syscall(323 if _X86 else 282, 1)  # faults of user code only: allowed to everybody
    return "made a userfaultfd"


def perf(at: Places) -> object:
    flags = struct.pack("Q", 0b1100001)  # disabled, without kernel and hypervisor
    block = struct.pack("IIQQQQ", 1, 128, 1, 0, 0, 0) + flags + b"\0" * 80
    syscall(298 if _X86 else 241, block, 0, -1, -1, 0)
    return "opened a counter"


def mount(at: Places) -> object:
    if int(_libc.unshare(0x10000000 | 0x20000)) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if int(_libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    return "mounted"


# ---------------------------------------------------------------------------------------------- what weights may carry


class _Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def pickle_with_a_command(at: Places) -> object:
    made = f"{at['home']}/made-inside"
    return pickle.loads(pickle.dumps(_Evil(f"echo made inside > '{made}'")))


def main() -> None:
    name, places = sys.argv[1], json.loads(sys.argv[2])
    try:
        print(globals()[name](places), flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
