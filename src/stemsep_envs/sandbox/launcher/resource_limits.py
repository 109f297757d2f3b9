"""Resource limits of the worker's process."""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RESOURCES = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "file": resource.RLIMIT_FSIZE,
    "memory": resource.RLIMIT_AS,
    "data": resource.RLIMIT_DATA,
    "processes": resource.RLIMIT_NPROC,
    "files": resource.RLIMIT_NOFILE,
    "locked": resource.RLIMIT_MEMLOCK,
    "signals": 11,  # RLIMIT_SIGPENDING and RLIMIT_MSGQUEUE have no names in Python
    "queues": 12,
}
"""The words of the launcher's options."""


def set_limits(limits: Iterable[tuple[str, int]], uid: int) -> None:
    """Lower this process's limits for good. A limit that is already lower stays."""
    for word, value in limits:
        number = RESOURCES[word]
        wanted = value + _tasks_of(uid) if word == "processes" else value
        hard = resource.getrlimit(number)[1]
        lowered = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (lowered, lowered))


def raise_open_files_limit() -> None:
    """Raise this process's own limit on open files to the most there is: each nested folder that it looks at is one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # it is above what the machine allows now; what holds will have to do


def _tasks_of(uid: int) -> int:
    """Return how many tasks a user has: the kernel counts them all against the limit, not only the worker's."""
    total = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    total += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue  # it ended meanwhile
    return total
