"""The filters, run in an interpreter of the kernel's filter language: every decision, for both machines."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from stemsep_envs.sandbox.launcher.seccomp import ARCHITECTURES, PROFILES, program, rules
from stemsep_envs.sandbox.launcher.syscalls import HIGHEST_KNOWN, NUMBERS

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
MACHINES = ("x86_64", "aarch64")
CLONE_NEWUSER, CLONE_THREAD_FLAGS = 0x10000000, 0x003D0F00
AF_UNIX, AF_INET, AF_NETLINK, AF_VSOCK = 1, 2, 16, 40


def decide(filter_program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Run a filter as the kernel does."""
    words = [word & (1 << 64) - 1 for word in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *words)
    steps = list(struct.iter_unpack("=HBBI", filter_program))
    accumulator = position = 0
    while True:
        code, true, false, operand = steps[position]
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            position += true if accumulator == operand else false
        elif code == 0x25:
            position += true if accumulator > operand else false
        elif code == 0x06:
            return int(operand)
        else:
            raise AssertionError(f"unknown step {code:#x}")


def call(profile: str, machine: str, name: str, *arguments: int) -> int | None:
    """Return what a call gets: 0 for allowed, an errno, or -1 for success without effect; None where there is none."""
    column, architecture = ARCHITECTURES[machine]
    number = NUMBERS[name][column] if name in NUMBERS else {"read": (0, 63), "mmap": (9, 222)}[name][column]
    if number is None:
        return None
    decision = decide(program(profile, machine), architecture, number, *arguments)
    if decision == ALLOW:
        return 0
    assert decision & 0xFFFF0000 == ERRNO
    return decision & 0xFFFF or -1


both = pytest.mark.parametrize("machine", MACHINES)
every_profile = pytest.mark.parametrize("profile", PROFILES)


@both
@every_profile
@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "pivot_root",
        "move_mount",
        "open_tree",
        "fsopen",
        "mount_setattr",
        "unshare",
        "setns",
        "ptrace",
        "process_vm_readv",
        "pidfd_getfd",
        "bpf",
        "keyctl",
        "add_key",
        "userfaultfd",
        "perf_event_open",
        "io_uring_setup",
        "io_uring_enter",
        "open_by_handle_at",
        "kexec_load",
        "init_module",
        "finit_module",
        "reboot",
    ],
)
def test_what_reaches_beyond_the_process_is_refused(profile: str, machine: str, name: str) -> None:
    assert call(profile, machine, name) == errno.EPERM


@both
@every_profile
@pytest.mark.parametrize("name", ["read", "mmap"])
def test_everyday_calls_are_allowed(profile: str, machine: str, name: str) -> None:
    assert call(profile, machine, name, 1, 2, 3) == 0


@both
@every_profile
def test_threads_are_allowed_and_namespaces_are_not(profile: str, machine: str) -> None:
    assert call(profile, machine, "clone", CLONE_THREAD_FLAGS) == 0
    for flag in (CLONE_NEWUSER, 0x20000, 0x40000000, 0x20000000, 0x02000000, 0x04000000, 0x08000000):
        assert call(profile, machine, "clone", CLONE_THREAD_FLAGS | flag) == errno.EPERM
    # Its flags lie in memory: the C library falls back to clone().
    assert call(profile, machine, "clone3") == errno.ENOSYS


@both
@pytest.mark.parametrize("family", [AF_INET, 10, AF_NETLINK, 17, AF_VSOCK, 0])
def test_only_unix_sockets_where_they_lead_nowhere(machine: str, family: int) -> None:
    assert call("namespaces", machine, "socket", AF_UNIX, 1) == 0
    assert call("namespaces", machine, "socket", family, 1) == errno.EAFNOSUPPORT
    # The kernel reads 32 bits: what stands above them changes nothing.
    assert call("namespaces", machine, "socket", (1 << 32) | family, 1) == errno.EAFNOSUPPORT


@both
@pytest.mark.parametrize("family", [AF_UNIX, AF_INET, AF_NETLINK, AF_VSOCK])
def test_no_socket_at_all_where_they_would_lead_to_the_host(machine: str, family: int) -> None:
    assert call("landlock", machine, "socket", family, 1) in {errno.EAFNOSUPPORT, errno.EACCES}


@both
def test_only_connected_pairs_without_namespaces(machine: str) -> None:
    stream, datagram, sequence, cloexec = 1, 2, 5, 0o2000000
    assert call("landlock", machine, "socketpair", AF_UNIX, stream | cloexec) == 0
    assert call("landlock", machine, "socketpair", AF_UNIX, datagram | cloexec) == errno.EACCES
    assert call("landlock", machine, "socketpair", AF_UNIX, sequence) == errno.EACCES
    assert call("landlock", machine, "socketpair", AF_INET, stream) == errno.EAFNOSUPPORT


@both
@every_profile
def test_typing_into_a_terminal_is_refused(profile: str, machine: str) -> None:
    assert call(profile, machine, "ioctl", 0, 0x5412) == errno.EPERM
    assert call(profile, machine, "ioctl", 0, (1 << 32) | 0x5412) == errno.EPERM
    assert call(profile, machine, "ioctl", 0, 0x541C) == errno.EPERM
    assert call(profile, machine, "ioctl", 0, 0x5413) == 0  # the terminal's size


@both
@every_profile
def test_set_id_files_cannot_be_made(profile: str, machine: str) -> None:
    creat, tmpfile = 0o100, 0o20200000
    for bit in (0o4000, 0o2000, 0o6000):
        assert call(profile, machine, "openat", 0, 0, creat, 0o755 | bit) == errno.EPERM
        assert call(profile, machine, "openat", 0, 0, tmpfile, 0o755 | bit) == errno.EPERM
        assert call(profile, machine, "mknodat", 0, 0, 0o100755 | bit) == errno.EPERM
        assert call(profile, machine, "fchmodat", 0, 0, 0o755 | bit) == (errno.EPERM if profile == "namespaces" else -1)
    assert call(profile, machine, "openat", 0, 0, creat, 0o644) == 0
    assert call(profile, machine, "openat", 0, 0, 0, 0o4755) == 0  # opens only: the mode is whatever the register held
    assert call(profile, machine, "openat2") == errno.ENOSYS


@both
def test_modes_and_times_stay_as_they_are_without_namespaces(machine: str) -> None:
    assert call("landlock", machine, "fchmod", 3, 0o600) == -1
    assert call("landlock", machine, "utimensat", 0) == -1
    assert call("namespaces", machine, "fchmod", 3, 0o600) == 0
    assert call("namespaces", machine, "utimensat", 0) == 0


@both
def test_the_process_group_is_for_life_without_namespaces(machine: str) -> None:
    for name in ("setsid", "setpgid"):
        assert call("landlock", machine, name) == errno.EPERM
        assert call("namespaces", machine, name) == 0


@both
def test_other_processes_are_not_touched_without_namespaces(machine: str) -> None:
    for name in ("prlimit64", "sched_setaffinity"):
        assert call("landlock", machine, name, 0) == 0
        assert call("landlock", machine, name, 4711) == errno.EPERM


@both
@every_profile
def test_attributes_of_what_was_opened_to_read_stay(profile: str, machine: str) -> None:
    for request in (0x40086602, 0x40046602, 0x401C5820, 0x40087602, 0x40086604, 0x40806685):
        assert call(profile, machine, "ioctl", 3, request) == errno.EPERM
        assert call(profile, machine, "ioctl", 3, (1 << 32) | request) == errno.EPERM
    assert call(profile, machine, "ioctl", 3, 0x80086601) == 0  # reading them


@both
@every_profile
def test_nobody_else_is_made_to_wait_or_told_on(profile: str, machine: str) -> None:
    for command in (1024, 1026):  # F_SETLEASE, F_NOTIFY
        assert call(profile, machine, "fcntl", 3, command) == errno.EPERM
    for command in (1, 2, 4, 6, 1030):
        assert call(profile, machine, "fcntl", 3, command) == 0
    for name in ("io_setup", "inotify_init", "inotify_init1"):
        assert call(profile, machine, name) in {errno.EPERM, None}


@both
@every_profile
def test_a_process_stays_tied_to_its_parent_and_to_be_seen(profile: str, machine: str) -> None:
    for signal in (0, 15, 17, (1 << 32) | 9 ^ 9):
        assert call(profile, machine, "prctl", 1, signal) == -1
    assert call(profile, machine, "prctl", 1, 9) == 0
    assert call(profile, machine, "prctl", 4, 0) == -1
    assert call(profile, machine, "prctl", 15, 1) == 0  # a thread's name


@both
@every_profile
def test_the_limit_of_core_dumps_stays(profile: str, machine: str) -> None:
    assert call(profile, machine, "setrlimit", 4) == errno.EPERM
    assert call(profile, machine, "prlimit64", 0, 4) == errno.EPERM
    assert call(profile, machine, "setrlimit", 7) == 0
    assert call(profile, machine, "prlimit64", 0, 7) == 0


@both
def test_what_landlock_does_not_govern_is_hidden(machine: str) -> None:
    for name in ("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"):
        assert call("landlock", machine, name) == errno.ENOTSUP
        assert call("namespaces", machine, name) == 0
    for name in ("getxattrat", "listxattrat"):
        assert call("landlock", machine, name) == errno.ENOTSUP
    for name in ("statmount", "listmount"):
        assert call("landlock", machine, name) == errno.EPERM
    for request in (0x8910, 0x8912, 0x8927):  # SIOCGIFNAME, SIOCGIFCONF, SIOCGIFHWADDR
        assert call("landlock", machine, "ioctl", 3, request) == errno.EPERM
    assert call("landlock", machine, "ioctl", 3, 0x541B) == 0  # FIONREAD


@both
@every_profile
def test_calls_that_nobody_knew_do_not_exist(profile: str, machine: str) -> None:
    _, architecture = ARCHITECTURES[machine]
    for number in (HIGHEST_KNOWN + 1, 512, 0x40000000, 0xFFFFFFFF):
        assert decide(program(profile, machine), architecture, number) == ERRNO | errno.ENOSYS


@every_profile
def test_the_table_of_another_architecture_kills(profile: str) -> None:
    i386 = 0x40000003
    assert decide(program(profile, "x86_64"), i386, 11) == KILL


@both
@every_profile
def test_every_jump_stays_inside(profile: str, machine: str) -> None:
    steps = list(struct.iter_unpack("=HBBI", program(profile, machine)))
    assert len(steps) < 4096
    for position, (code, true, false, _) in enumerate(steps):
        if code in {0x15, 0x25}:
            assert position + 1 + max(true, false) < len(steps)


@every_profile
def test_every_rule_names_a_known_call(profile: str) -> None:
    assert {name for name, _, _ in rules(profile)} <= set(NUMBERS)


def test_an_unknown_profile_is_no_filter() -> None:
    with pytest.raises(ValueError, match="no filter"):
        program("lax", "x86_64")


@pytest.mark.parametrize(
    ("column", "header", "pattern"),
    [
        (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
        (1, "/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
    ],
)
def test_the_numbers_are_the_kernels(column: int, header: str, pattern: str) -> None:
    path = Path(header)
    if not path.exists():
        pytest.skip(f"{header} is not installed")
    known = {name: int(number) for name, number in re.findall(pattern, path.read_text())}
    for name, numbers in NUMBERS.items():
        if name in known:
            assert numbers[column] == known[name], name
