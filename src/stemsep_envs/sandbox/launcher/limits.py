"""Bounds on what a worker uses: resource limits of the process, and the control groups the host made for it."""

from __future__ import annotations

import os
import resource
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESOURCES = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "file": resource.RLIMIT_FSIZE,
    "memory": resource.RLIMIT_AS,
    "data": resource.RLIMIT_DATA,
    "processes": resource.RLIMIT_NPROC,
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


def join_groups(groups: Sequence[str]) -> None:
    """Move this process into the control groups."""
    for group in groups:
        _write(f"{group}/cgroup.procs", "0")


def end_groups(groups: Sequence[str]) -> None:
    """Kill whatever is left in the control groups and remove them; what another has removed is fine."""
    for group in groups:
        for _ in range(200):  # the dead leave their group a moment after they died
            try:
                os.rmdir(group)
                break
            except FileNotFoundError:
                break
            except OSError:
                _kill_members(group)
                select.select((), (), (), 0.01)


def _kill_members(group: str) -> None:
    try:
        _write(f"{group}/cgroup.kill", "1")
    except OSError:
        pass  # only version 2 kills a whole group at once
    else:
        return
    try:
        with open(f"{group}/cgroup.procs", encoding="ascii") as stream:
            members = [int(line) for line in stream]
    except OSError:
        return
    for member in members:
        try:
            os.kill(member, 9)
        except OSError:
            continue


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
