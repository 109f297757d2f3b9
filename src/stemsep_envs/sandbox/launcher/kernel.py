"""The few kernel calls that Python's standard library does not offer, each as a function that raises OSError."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
SIGNAL_DEFAULT, SIGNAL_IGNORE = 0, 1

# Numbers that are the same on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _PIDFD_OPEN, _CLOSE_RANGE, _MOUNT_SETATTR = 428, 429, 434, 436, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _MOVE_FROM_FD = 1, 4
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV, _ATTR_IDMAP = 0x1, 0x2, 0x4, 0x100000

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_SET_KEEPCAPS = 1, 22, 38, 47, 8
_PR_CAPBSET_DROP, _CAP_AMBIENT_RAISE = 24, 2
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(number: int, what: str, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *words)), what)


def _prctl(what: str, option: int, *arguments: object) -> None:
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in arguments]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    _checked(int(_libc.prctl(ctypes.c_int(option), *words)), what)


def set_signal(number: int, disposition: int) -> None:
    """Ignore a signal or give it back its default effect."""
    _libc.signal.restype = ctypes.c_void_p
    _libc.signal(ctypes.c_int(number), ctypes.c_void_p(disposition))


def pidfd_open(pid: int) -> int:
    """Return a descriptor that becomes readable when the process ends: the process, not the thread that started us."""
    return _syscall(_PIDFD_OPEN, "pidfd_open", pid, 0)


def close_from(first: int) -> None:
    """Close every descriptor from ``first`` on."""
    try:
        _syscall(_CLOSE_RANGE, "close_range", first, 0x7FFFFFFF, 0)
    except OSError:  # before Linux 5.9
        os.closerange(first, 65536)


def die_with_parent() -> None:
    """Be killed when the thread that forked this process ends."""
    _prctl("prctl(PDEATHSIG)", _PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl("prctl(CHILD_SUBREAPER)", _PR_SET_CHILD_SUBREAPER, 1)


def leave_no_core() -> None:
    """Let no core dump be made of this process, whatever it dies of; until it executes a program."""
    _prctl("prctl(DUMPABLE)", _PR_SET_DUMPABLE, 0)


def no_new_privileges() -> None:
    """Gain nothing from set-user-id programs from here on; what Landlock and seccomp require."""
    _prctl("prctl(NO_NEW_PRIVS)", _PR_SET_NO_NEW_PRIVS, 1)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def seccomp(steps: bytes) -> None:
    """Apply a system-call filter to this process for good."""
    filter_program = _FilterProgram(len(steps) // 8, steps)
    _prctl("prctl(SECCOMP)", _PR_SET_SECCOMP, 2, ctypes.byref(filter_program))


# ---------------------------------------------------------------------------------------------- mounts and identities


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _checked(int(_libc.unshare(ctypes.c_int(flags))), "unshare")


def make_mounts_private() -> None:
    """Let no mount made here be seen elsewhere."""
    _checked(int(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)), "mount")


def mount_tmpfs(target: str, options: str) -> None:
    """Mount an empty file system in memory."""
    result = _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", ctypes.c_ulong(0), options.encode())
    _checked(int(result), f"mount {target}")


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def clone_tree(path: str) -> int:
    """Return a detached copy of the mount at ``path``, without what is mounted below it."""
    return _syscall(_OPEN_TREE, f"open_tree {path}", _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)


def restrict_tree(tree: int, *, read_only: bool, userns: int | None) -> None:
    """Set a detached mount's flags; with a user namespace, show owners through its map."""
    flags = _ATTR_NOSUID | _ATTR_NODEV | (_ATTR_RDONLY if read_only else 0)
    if userns is not None:
        flags |= _ATTR_IDMAP
    attributes = _MountAttributes(flags, 0, 0, userns or 0)
    size = ctypes.sizeof(attributes)
    _syscall(_MOUNT_SETATTR, "mount_setattr", tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size)


def attach_tree(tree: int, target: str) -> None:
    """Attach a detached mount at ``target``."""
    _syscall(_MOVE_MOUNT, f"move_mount {target}", tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_FROM_FD)


def keep_capabilities_across_setuid() -> None:
    """Let the next change of user keep the permitted capabilities."""
    _prctl("prctl(KEEPCAPS)", _PR_SET_KEEPCAPS, 1)


def set_capabilities(kept: Sequence[int]) -> None:
    """Hold exactly these capabilities, on to whatever is executed next, and none other ever again."""
    for capability in range(64):
        if capability not in kept:
            try:
                _prctl("prctl(CAPBSET_DROP)", _PR_CAPBSET_DROP, capability)
            except OSError:
                break  # past the last one this kernel knows, or not allowed to, and then the next line decides
    low = sum(1 << capability for capability in kept)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)(low, low, low, 0, 0, 0)
    _checked(int(_libc.capset(header, data)), "capset")
    for capability in kept:
        _prctl("prctl(CAP_AMBIENT)", _PR_CAP_AMBIENT, _CAP_AMBIENT_RAISE, capability)


# ------------------------------------------------------------------------------------------------------------ Landlock


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """Return the version of Landlock in this kernel; 0 where there is none."""
    try:
        return _syscall(_LANDLOCK_CREATE, "landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def landlock_ruleset(*, fs: int, net: int, scoped: int) -> int:
    """Return a new ruleset that governs these accesses."""
    ruleset = _Ruleset(fs, net, scoped)
    size = ctypes.sizeof(ruleset)
    return _syscall(_LANDLOCK_CREATE, "landlock_create_ruleset", ctypes.byref(ruleset), size, 0)


def landlock_allow(ruleset: int, path_fd: int, access: int) -> None:
    """Allow accesses beneath an open path."""
    rule = _PathRule(access, path_fd)
    _syscall(_LANDLOCK_ADD, "landlock_add_rule", ruleset, 1, ctypes.byref(rule), 0)


def landlock_restrict(ruleset: int) -> None:
    """Apply a ruleset to this process for good."""
    _syscall(_LANDLOCK_RESTRICT, "landlock_restrict_self", ruleset, 0)
