"""System-call filters: tables of what is refused, and the program in the kernel's filter language made from them.

A filter allows what it does not name, because a scientific Python uses most of the kernel's everyday calls; what it
names is everything that reaches beyond the process itself. Calls newer than the table do not exist for a worker, nor do
those of another architecture's table (i386 and x32 on x86-64).
"""

from __future__ import annotations

import errno
import struct

from stemsep_envs.sandbox.launcher.syscalls import HIGHEST_KNOWN, NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Test = tuple[int, int, str, int]
    """An argument's index, a mask on its low 32 bits, ``is`` or ``is not``, and a value."""

    Rule = tuple[str, int, tuple[Test, ...]]
    """A call, the errno it fails with (0: it reports success and does nothing), and tests that must all hold."""

PROFILES = ("namespaces", "landlock")

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
"""Machine names; each with its column in the table of numbers and the kernel's word for it."""

_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _AND, _EQUAL, _ABOVE, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16

_AF_UNIX, _SOCK_STREAM, _SOCKET_TYPE_MASK = 1, 1, 0xF
_WHOLE = 0xFFFFFFFF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FILE_ATTRIBUTES = {
    "FS_IOC_SETFLAGS": 0x40086602,
    "FS_IOC32_SETFLAGS": 0x40046602,
    "FS_IOC_FSSETXATTR": 0x401C5820,
    "FS_IOC_SETVERSION": 0x40087602,
    "FS_IOC32_SETVERSION": 0x40047602,
    "EXT4_IOC_SETVERSION": 0x40086604,
    "EXT4_IOC32_SETVERSION": 0x40046604,
    "FS_IOC_ENABLE_VERITY": 0x40806685,
    "FS_IOC_SET_ENCRYPTION_POLICY": 0x800C6613,
    "BTRFS_IOC_SUBVOL_SETFLAGS": 0x4008941A,
}
"""These take a descriptor that was opened to read only, and change what it stands for."""

_OF_INTERFACES = 0x8900  # SIOCGIFCONF and its kind
_F_SETLEASE, _F_NOTIFY = 1024, 1026
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _SIGKILL = 1, 4, 9
_RLIMIT_CORE = 4
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… flag that clone() takes
_SET_ID_BITS = 0o6000
_CREATE_FLAGS = (0o100, 0o20000000)  # O_CREAT and the bit that makes O_TMPFILE

_REFUSED = """
    mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr
    swapon swapoff unshare setns
    kexec_load kexec_file_load init_module finit_module delete_module reboot acct syslog quotactl quotactl_fd
    lookup_dcookie nfsservctl uselib iopl ioperm modify_ldt vhangup settimeofday clock_settime clock_adjtime adjtimex
    sethostname setdomainname
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
    perf_event_open bpf userfaultfd fanotify_init fanotify_mark keyctl add_key request_key
    io_uring_setup io_uring_enter io_uring_register open_by_handle_at name_to_handle_at memfd_secret
    move_pages migrate_pages
    io_setup inotify_init inotify_init1
""".split()
"""Refused at every level: they change the machine, look into other processes, open large parts of the kernel, or take
from what all of a user's processes, or all of the machine's, share: the last line."""

_REFUSED_WITHOUT_NAMESPACES = """
    setsid setpgid
    shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink
    listmount statmount
    setpriority sched_setscheduler sched_setparam sched_setattr ioprio_set
    chown fchown lchown fchownat setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr
    removexattrat file_setattr
    bind connect listen accept accept4
""".split()
"""Refused where no namespace hides the rest of the machine: leaving the process group by which the worker is ended, the
user's shared memory and queues, the machine's mounts, other processes' priorities, files' owners and attributes, every
address."""

_HIDDEN_WITHOUT_NAMESPACES = """
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr getxattrat listxattrat
""".split()
"""Landlock does not govern who reads a file's extended attributes. Programs take it that the file system has none."""

_PRETENDED_WITHOUT_NAMESPACES = "chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat".split()
"""Landlock does not govern a file's mode and times, so no process below it may change any. Honest programs set them as
a last touch (copying a file does): they are told that it worked."""


def rules(profile: str) -> tuple[Rule, ...]:
    """Return what a profile refuses, first match first.

    Args:
        profile: ``namespaces``, where unix sockets lead nowhere and are allowed (worker pools of data loaders need
            them), or ``landlock``, where they would reach the host's and no socket can be made but a connected pair.

    Raises:
        ValueError: There is no such profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"no filter is called {profile}")
    common: tuple[Rule, ...] = (
        *((name, errno.EPERM, ()) for name in _REFUSED),
        # Their arguments lie in memory, where a filter cannot look; libraries fall back to the older call.
        ("clone3", errno.ENOSYS, ()),
        ("openat2", errno.ENOSYS, ()),
        ("clone", errno.EPERM, ((0, _NEW_NAMESPACES, "is not", 0),)),
        ("personality", errno.EPERM, ((0, _WHOLE, "is not", 0), (0, _WHOLE, "is not", 0xFFFFFFFF))),
        *(
            ("ioctl", errno.EPERM, ((1, _WHOLE, "is", request),))
            for request in (_TIOCSTI, _TIOCLINUX, *_FILE_ATTRIBUTES.values())
        ),
        # A lease makes everybody else who opens the file wait.
        *(("fcntl", errno.EPERM, ((1, _WHOLE, "is", command),)) for command in (_F_SETLEASE, _F_NOTIFY)),
        ("socket", errno.EAFNOSUPPORT, ((0, _WHOLE, "is not", _AF_UNIX),)),
        ("socketpair", errno.EAFNOSUPPORT, ((0, _WHOLE, "is not", _AF_UNIX),)),
        # Bubblewrap's first process can be made to run a worker's code: it must still die with its parent. And what a
        # worker holds open must stay to be seen.
        ("prctl", 0, ((0, _WHOLE, "is", _PR_SET_PDEATHSIG), (1, _WHOLE, "is not", _SIGKILL))),
        ("prctl", 0, ((0, _WHOLE, "is", _PR_SET_DUMPABLE),)),
        # With another limit than `limits` sets, a crash starts the machine's helper for core dumps, as root.
        ("setrlimit", errno.EPERM, ((0, _WHOLE, "is", _RLIMIT_CORE),)),
        ("prlimit64", errno.EPERM, ((1, _WHOLE, "is", _RLIMIT_CORE),)),
    )
    if profile == "namespaces":
        return (*common, *_set_id_rules())
    return (
        *((name, 0, ()) for name in _PRETENDED_WITHOUT_NAMESPACES),
        *common,
        *((name, errno.EPERM, ()) for name in _REFUSED_WITHOUT_NAMESPACES),
        *((name, errno.ENOTSUP, ()) for name in _HIDDEN_WITHOUT_NAMESPACES),
        ("ioctl", errno.EPERM, ((1, 0xFFFFFF00, "is", _OF_INTERFACES),)),
        ("socket", errno.EACCES, ()),
        # A datagram socket of a pair can still send to a path; a stream one is connected for good.
        ("socketpair", errno.EACCES, ((1, _SOCKET_TYPE_MASK, "is not", _SOCK_STREAM),)),
        # Acting on another process of the same user; 0 is the caller itself.
        ("prlimit64", errno.EPERM, ((0, _WHOLE, "is not", 0),)),
        ("sched_setaffinity", errno.EPERM, ((0, _WHOLE, "is not", 0),)),
        *_set_id_rules(),
    )


def _set_id_rules() -> Iterator[Rule]:
    """Refuse set-user-id and set-group-id files: one left in the outputs would run as the host's user for anybody."""
    for bit in (0o4000, 0o2000):
        mode = (bit, "is not", 0)
        for name, index in (
            *(("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2)),
            *(("creat", 1), ("mknod", 1), ("mknodat", 2)),
        ):
            yield name, errno.EPERM, ((index, *mode),)
        for name, index in (("open", 1), ("openat", 2)):
            for flag in _CREATE_FLAGS:  # without them the mode is not read, and may be anything
                yield name, errno.EPERM, ((index, flag, "is not", 0), (index + 1, *mode))


def program(profile: str, machine: str) -> bytes:
    """Return a profile's filter for a machine, as the kernel takes it.

    Args:
        profile: Which table.
        machine: ``os.uname().machine``.

    Raises:
        KeyError: There is no table of numbers for this machine.
    """
    column, architecture = ARCHITECTURES[machine]
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_ABOVE, 0, 1, HIGHEST_KNOWN),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for name, failure, tests in rules(profile):
        number = NUMBERS[name][column]
        if number is not None:
            steps += _rule_steps(number, failure, tests)
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _rule_steps(number: int, failure: int, tests: tuple[Test, ...]) -> list[tuple[int, int, int, int]]:
    """Return: skip unless this call and every test holds; fail; load the number again, which the tests replaced."""
    verdict = (_RETURN, 0, 0, _ERRNO | failure)
    if not tests:
        return [(_EQUAL, 0, 1, number), verdict]
    length = 3 * len(tests) + 2  # the tests, the verdict, and loading the number again
    steps = [(_EQUAL, 0, length, number)]
    for position, (index, mask, relation, value) in enumerate(tests):
        to_restore = length - 3 * (position + 1) - 1
        steps += [
            (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * index),  # little-endian: the low half comes first
            (_AND, 0, 0, mask),
            (_EQUAL, 0, to_restore, value) if relation == "is" else (_EQUAL, to_restore, 0, value),
        ]
    return [*steps, verdict, (_LOAD, 0, 0, _NUMBER_OFFSET)]
