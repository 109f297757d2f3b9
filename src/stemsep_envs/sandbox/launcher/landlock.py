"""The Landlock ruleset: which files a process may reach, by which accesses."""

from __future__ import annotations

import os

from stemsep_envs.sandbox.launcher import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST_ABI = 6
"""From Linux 6.12: it also stops signals to, and abstract sockets of, processes outside."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SYM = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_EVERY_FS = (1 << 16) - 1
_EVERY_NET = 0b11  # bind and connect TCP
_EVERY_SCOPE = 0b11  # abstract unix sockets, signals

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

ACCESSES = {
    "read": _READ,
    "write": _READ | _WRITE,
    "device": _READ_FILE | _WRITE_FILE,
    "gpu": _READ_FILE | _WRITE_FILE | _READ_DIR | _IOCTL_DEV,
}
"""What the words of the launcher's options mean."""

_OWN_PROC_FILES = ("maps", "stat", "statm", "status")


def restrict(allowed: Iterable[tuple[str, str]]) -> None:
    """Confine this process and its children to the named paths; what is not there is left out.

    Args:
        allowed: Pairs of a word of `ACCESSES` and a path.

    Raises:
        OSError: The kernel refuses or its Landlock is too old.
    """
    abi = kernel.landlock_abi()
    if abi < LEAST_ABI:
        raise OSError(f"Landlock ABI {LEAST_ABI} is needed and this kernel has {abi}")
    ruleset = kernel.landlock_ruleset(fs=_EVERY_FS, net=_EVERY_NET, scoped=_EVERY_SCOPE)
    for word, path in allowed:
        _allow(ruleset, path, ACCESSES[word])
    for name in _OWN_PROC_FILES:  # the C library asks for its own stack; the other processes' files stay closed
        _allow(ruleset, f"/proc/self/{name}", _READ_FILE)
    kernel.landlock_restrict(ruleset)
    os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        is_folder = os.fstat(descriptor).st_mode & 0o170000 == 0o040000
        kernel.landlock_allow(ruleset, descriptor, access if is_folder else access & _ON_A_FILE)
    finally:
        os.close(descriptor)
