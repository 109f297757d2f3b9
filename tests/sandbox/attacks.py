"""The attacks: each with what it tries, how its effect is seen from outside, and which levels hold it."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.sandbox.arena import (
    MOST_FILE,
    MOST_OUTPUT,
    MOST_PROCESSES,
    Arena,
    Fight,
    gone_soon,
    reached,
    sentinel_limit,
)

from stemsep_envs.sandbox.policy import Axis, LevelName

Happened = Callable[[Arena, Fight], bool]
BOUNDARIES: tuple[LevelName, ...] = ("container", "namespaces", "landlock")
NAMESPACED: tuple[LevelName, ...] = ("container", "namespaces")


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: Of the function in `inside` that carries it out.
        axis: What it is aimed at.
        words: What it tries.
        happened: Whether it had its effect, seen from outside where there is something to see.
        held_by: The levels that hold it.
        instead: What is true of the other levels.
        only_root: Only root could do it where nothing confines.
        may_lack: Why the attack may not even work unconfined, on some machines; then there is nothing to prove.
    """

    name: str
    axis: Axis
    words: str
    happened: Happened
    held_by: tuple[LevelName, ...] = BOUNDARIES
    instead: str = "not held"
    only_root: bool = False
    may_lack: str | None = None


def _told(arena: Arena, fight: Fight) -> bool:
    """It printed the secret, which it can only know from where it lies."""
    return arena.word in fight.stdout


def _saw_new_name(arena: Arena, fight: Fight) -> bool:
    return f"seen-{arena.word}" in fight.stdout


def _still_runs(arena: Arena, fight: Fight) -> bool:
    return not gone_soon(f"daemon-{arena.word}", seconds=1)


def _says(text: str) -> Happened:
    return lambda arena, fight: text in fight.stdout


def _made(place: str) -> Happened:
    return lambda arena, fight: arena.path(place).exists()


def _made_in_home(arena: Arena, fight: Fight) -> bool:
    return (arena.path("home") / "made-inside").exists()


def _changed(place: str, original: str) -> Happened:
    def changed(arena: Arena, fight: Fight) -> bool:
        return not arena.path(place).exists() or arena.path(place).read_text() != original

    return changed


_package_changed = _changed("package", "original")


def _touched(arena: Arena, fight: Fight) -> bool:
    return arena.path("ssh_key").stat().st_mtime == 1


def _reached(*names: str) -> Happened:
    return lambda arena, fight: any(reached(arena.listeners[name]) for name in names if name in arena.listeners)


def _sentinel_ended(arena: Arena, fight: Fight) -> bool:
    return arena.sentinel.poll() is not None


def _set_id_file(arena: Arena, fight: Fight) -> bool:
    made = arena.path("work") / "set-id"
    return made.exists() and bool(made.stat().st_mode & 0o6000)


def _flagged(arena: Arena, fight: Fight) -> bool:
    """The file system's own flags of the file (FS_IOC_GETFLAGS) say that it is not to be backed up."""
    with arena.path("package").open() as stream:
        flags = fcntl.ioctl(stream, 0x80086601, struct.pack("l", 0))
    return bool(struct.unpack("l", flags)[0] & 0x40)


def _named_interfaces(arena: Arena, fight: Fight) -> bool:
    return any(repr(name) in fight.stdout for _, name in socket.if_nameindex() if name != "lo")


def _filled(arena: Arena, fight: Fight) -> bool:
    return fight.status == 0 and "filled" in fight.stdout


def _typed(arena: Arena, fight: Fight) -> bool:
    return bool(select.select([arena.terminal], [], [], 0)[0]) and bool(os.read(arena.terminal, 4096))


def _output_bytes(arena: Arena) -> int:
    return sum(path.stat().st_size for path in arena.path("work").rglob("*") if path.is_file())


def _too_many(arena: Arena, fight: Fight) -> bool:
    count = next((int(line.split()[1]) for line in fight.stdout.splitlines() if line.startswith("children")), 0)
    return count >= 2 * MOST_PROCESSES


ATTACKS: tuple[Attack, ...] = (
    # files read
    Attack("read_ssh_key", "files_read", "read a private key in the home folder", _told),
    Attack("read_other_weights", "files_read", "read another model's weights", _told),
    Attack("read_through_a_link", "files_read", "follow a link out of a readable folder", _told),
    Attack("read_through_own_link", "files_read", "follow a link that it made itself", _told),
    Attack("list_home", "files_read", "list the home folder", _says(".ssh")),
    Attack("stat_key", "files_read", "see size and times of a private file", _says("size 32"), NAMESPACED),
    Attack("read_users", "files_read", "read /etc/passwd", _says("root:")),
    Attack("read_environment", "files_read", "find the host's secrets in its own environment", _told),
    Attack("read_environment_of_others", "files_read", "read another process's environment", _told),
    Attack("read_memory_file", "files_read", "read another process's memory as a file", _told, may_lack="yama"),
    Attack("read_memory_call", "files_read", "read another process's memory by system call", _told, may_lack="yama"),
    Attack("read_inherited_descriptors", "files_read", "read from descriptors that the host left open", _told),
    Attack("read_through_root_descriptor", "files_read", "reach files through /proc/<pid>/root", _told),
    Attack(
        "watch_folder", "files_read", "watch a private folder for new names", lambda a, f: f"seen-{a.word}" in f.stdout
    ),
    Attack("read_by_handle", "files_read", "open a private file by its handle", _told, only_root=True),
    Attack("read_shared_memory", "files_read", "read a shared-memory segment of the user", _told),
    Attack(
        "read_attribute",
        "files_read",
        "read an extended attribute of a private file",
        _told,
        may_lack="a file system without extended attributes",
    ),
    Attack(
        "read_disk", "files_read", "open a disk's device", _says("opened a disk"), only_root=True, may_lack="no disk"
    ),
    # files written
    Attack("write_home", "files_written", "make a file in the home folder", _made_in_home),
    Attack("append_to_profile", "files_written", "add a line to the shell's profile", _changed("profile", "# empty\n")),
    Attack("write_host_tmp", "files_written", "make a file in the host's /tmp", _made("tmp_file")),
    Attack("write_host_shm", "files_written", "make a file in the host's /dev/shm", _made("shm_file")),
    Attack("overwrite_package", "files_written", "overwrite a module of its environment", _package_changed),
    Attack(
        "plant_pth",
        "files_written",
        "plant a .pth in its environment",
        lambda arena, fight: (arena.path("package").parent / "evil.pth").exists(),
    ),
    Attack("rename_package", "files_written", "rename a module of its environment", _package_changed),
    Attack("remove_package", "files_written", "remove a module of its environment", _package_changed),
    Attack("replace_package", "files_written", "rename a file of its own over a module", _package_changed),
    Attack("truncate_package", "files_written", "truncate a module of its environment", _package_changed),
    Attack("write_input", "files_written", "change the input file", _changed("input", "original")),
    Attack("write_through_hard_link", "files_written", "write a module through a hard link", _package_changed),
    Attack("write_through_symlink", "files_written", "write a module through a link", _package_changed),
    Attack(
        "write_through_reopened_descriptor",
        "files_written",
        "reopen a readable descriptor for writing",
        _package_changed,
    ),
    Attack(
        "write_through_linked_descriptor",
        "files_written",
        "name what was opened to read anew, and write that",
        _package_changed,
    ),
    Attack(
        "flag_package",
        "files_written",
        "change the flags of a file that was opened to read",
        _flagged,
        may_lack="a file system without flags",
    ),
    Attack("lease_input", "files_written", "make all who open the input file wait", _says("leased")),
    Attack(
        "chmod_key",
        "files_written",
        "change the mode of a private file",
        lambda arena, fight: arena.path("ssh_key").stat().st_mode & 0o777 == 0o640,
    ),
    Attack("touch_key", "files_written", "change the times of a private file", _touched),
    Attack(
        "label_key",
        "files_written",
        "set an extended attribute of a private file",
        lambda arena, fight: "user.made" in os.listxattr(arena.path("ssh_key")),
        may_lack="a file system without extended attributes",
    ),
    Attack("leave_set_id_chmod", "files_written", "leave a set-user-id file in the outputs", _set_id_file),
    Attack("leave_set_id_open", "files_written", "make a set-user-id file in one step", _set_id_file),
    Attack(
        "leave_device",
        "files_written",
        "leave a device node in the outputs",
        lambda arena, fight: (arena.path("work") / "null").exists(),
        only_root=True,
    ),
    Attack("write_into_dev", "files_written", "make files in /dev", _says("made a file in /dev"), only_root=True),
    Attack("write_root_folder", "files_written", "make files in /", _says("made a file in /"), only_root=True),
    Attack("open_kernel_setting", "files_written", "open a kernel setting to write", _says("opened"), only_root=True),
    Attack("pickle_with_a_command", "files_written", "run a command from a pickle", _made_in_home),
    # network
    Attack("tcp", "network", "connect to a TCP port of this machine", _reached("tcp")),
    Attack("tcp6", "network", "the same over IPv6", _reached("tcp6"), may_lack="no IPv6"),
    Attack("tcp_fast_open", "network", "connect by TCP fast open", _reached("tcp")),
    Attack("mptcp", "network", "connect by multipath TCP", _reached("tcp"), may_lack="a kernel without MPTCP"),
    Attack("udp", "network", "send a datagram (as to a name server)", _reached("udp")),
    Attack("unix_stream", "network", "connect to a unix socket by its path (docker's, D-Bus)", _reached("unix_stream")),
    Attack("unix_datagram", "network", "send to a unix socket by its path", _reached("unix_datagram")),
    Attack("unix_datagram_of_a_pair", "network", "the same from a socket of a pair", _reached("unix_datagram")),
    Attack("unix_abstract", "network", "connect to an abstract unix socket", _reached("unix_abstract")),
    Attack("serve", "network", "serve a port to this machine", _says("answered: b'from inside'")),
    Attack("netlink", "network", "speak to the kernel's network configuration", _says("netlink")),
    Attack(
        "interfaces",
        "network",
        "list the machine's interfaces from a pair",
        _named_interfaces,
        may_lack="none but the loopback",
    ),
    Attack("vsock", "network", "make a socket to the hypervisor", _says("vsock"), may_lack="a kernel without vsock"),
    Attack("packet", "network", "make a raw socket", _says("raw"), only_root=True),
    # processes
    Attack("kill_sentinel", "processes", "kill a process of the user", _sentinel_ended),
    Attack("kill_through_pidfd", "processes", "the same through a process descriptor", _sentinel_ended),
    Attack("kill_through_descriptor", "processes", "the same by a pipe that signals", _sentinel_ended),
    Attack("trace_sentinel", "processes", "trace a process of the user", _says("traced"), may_lack="yama"),
    Attack("steal_descriptor", "processes", "take a descriptor from a process", _says("took"), may_lack="yama"),
    Attack(
        "slow_sentinel",
        "processes",
        "lower a process's priority",
        lambda arena, fight: os.getpriority(os.PRIO_PROCESS, arena.sentinel.pid) == 15,
    ),
    Attack(
        "bind_sentinel",
        "processes",
        "bind a process to one processor",
        lambda arena, fight: len(os.sched_getaffinity(arena.sentinel.pid)) < len(os.sched_getaffinity(0)),
        may_lack="one processor",
    ),
    Attack("limit_sentinel", "processes", "limit a process", lambda arena, fight: sentinel_limit(arena) == 77),
    Attack("see_processes", "processes", "see that a process exists", _says("saw"), NAMESPACED),
    Attack(
        "daemon",
        "processes",
        "outlive the end as a daemon",
        lambda arena, fight: not gone_soon(f"daemon-{arena.word}", 1),
    ),
    Attack(
        "orphan",
        "processes",
        "outlive the end as an orphan",
        lambda arena, fight: not gone_soon(f"daemon-{arena.word}", 1),
    ),
    Attack("fork_many", "processes", "fork without end", _too_many),
    Attack("write_terminal", "processes", "write on the user's terminal", _typed),
    Attack("type_into_terminal", "processes", "type into the user's terminal", _says("typed"), may_lack="legacy"),
    # system calls
    Attack("user_namespace", "system_calls", "make a user namespace", _says("made"), may_lack="forbidden"),
    Attack("user_namespace_by_clone", "system_calls", "the same by clone", _says("made"), may_lack="forbidden"),
    Attack("user_namespace_by_clone3", "system_calls", "the same by clone3", _says("made"), may_lack="forbidden"),
    Attack("mount", "system_calls", "mount in namespaces of its own", _says("mounted"), may_lack="forbidden"),
    Attack("io_uring", "system_calls", "make an io_uring", _says("made a ring"), may_lack="forbidden"),
    Attack("async_io", "system_calls", "make a context for asynchronous I/O", _says("made a context")),
    Attack("watch_itself", "system_calls", "make a watch, of which a user has few", _says("made a watch")),
    Attack("core_dump", "system_calls", "let a crash start the machine's helper", _says("changed the limit")),
    Attack("bpf", "system_calls", "make a BPF map", _says("made a map"), only_root=True),
    Attack("keys", "system_calls", "keep a key in the kernel", _says("made key")),
    Attack("userfaultfd", "system_calls", "make a userfaultfd", _says("made a userfaultfd"), may_lack="forbidden"),
    Attack("perf", "system_calls", "open a performance counter", _says("opened a counter"), may_lack="forbidden"),
    # what there is only so much of
    Attack("memory_bomb", "memory", "use twice the memory it may", _says("used it all")),
    Attack(
        "memory_bomb_of_many",
        "memory",
        "the same in many processes",
        _says("used it all"),
        (),
        "held where control groups can be made",
    ),
    Attack(
        "fill_outputs",
        "memory",
        "write more output than it may",
        lambda arena, fight: fight.status == 0 and _output_bytes(arena) > MOST_OUTPUT,
    ),
    Attack("fill_closed_folder", "memory", "the same in a folder closed to its owner", _filled),
    Attack("fill_deep_folder", "memory", "the same below a thousand folders", _filled),
    Attack("fill_moving_folder", "memory", "the same in a folder that is renamed all the time", _filled),
    Attack(
        "fill_removed_files",
        "memory",
        "the same in removed files that stay open",
        _filled,
        ("namespaces",),
        "held where its descriptors can be seen",
    ),
    Attack(
        "large_file",
        "memory",
        "make one file larger than it may, though sparse",
        lambda arena, fight: (
            (arena.path("work") / "large").stat().st_size > MOST_FILE
            if (arena.path("work") / "large").exists()
            else False
        ),
    ),
    Attack("fill_tmp", "memory", "fill /tmp", _says("filled")),
    Attack("fill_shm", "memory", "fill /dev/shm", _says("filled")),
)
