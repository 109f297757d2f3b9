"""Single flight: of processes that are about to do the same, one goes first and the others wait for it to end.

Beside `host.locks`, since it must load at once: sixteen programs that start at once would otherwise
each load all they need, only to learn that one of them does the work. It orders nothing and protects nothing: whoever
comes through still does everything that is needed to be safe.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_led: dict[str, int] = {}
"""The descriptor of each file that this process holds, kept until it ends, however it ends."""


def lead_or_wait(path: str, on_wait: Callable[[], None]) -> None:
    """Hold ``path`` until this process ends; if another process does, call ``on_wait`` and return once that has ended.

    Where this is not available (Windows, a folder that cannot be written), return at once: all go together.
    """
    if path in _led:
        return
    try:
        import fcntl  # noqa: PLC0415, TID251 - not on every platform; see the module for why not host.locks

        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - pathlib takes longer than all of this
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (ImportError, OSError):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # shared: all who wait go on together
        finally:
            os.close(descriptor)
    except OSError:  # some network file systems have no locks
        os.close(descriptor)
    else:
        _led[path] = descriptor
