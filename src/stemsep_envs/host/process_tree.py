"""A process tree: the descendants of a process, as Linux lists them, and killing them.

The sandbox's launcher imports this: only what loads at once.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # without the enumerations that make `signal` slow
import errno
import os
import sys

_KILL = 9

_SPARE = 8
"""Descriptors that looking takes, where they run out."""

_MOST = 20_000
"""Where more are found than any limit allows, they come faster than they are counted."""


def children_of(pid: int) -> list[int]:
    """Return the processes whose parent a process is; none where the kernel does not list them."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as stream:
                found += [int(word) for word in stream.read().split()]
    except (OSError, ValueError):
        pass  # not Linux, or it ended meanwhile
    return found


def descendants_of(pid: int) -> list[int]:
    """Return the processes that descend from a process, parents before their children."""
    found = [pid]
    for one in found:
        found += children_of(one)
        if len(found) > _MOST:
            break
    return found[1:]


def hold_descendants(pid: int) -> list[int]:
    """Return a process descriptor of each process that descends from a child of ours that was not yet collected.

    Its number alone might be another's by the time it is used. None where the system has no such descriptors.
    """
    held = {}
    for one in descendants_of(pid):
        try:
            held[one] = os.pidfd_open(one)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:  # the rest is found the next time; looking takes some
                for last in list(held)[-_SPARE:]:
                    os.close(held.pop(last))
                break
        except AttributeError:
            break  # this Python is too old
    still = set(descendants_of(pid))  # those were it when they were opened
    for one in held.keys() - still:
        os.close(held.pop(one))
    return list(held.values())


def kill_group(group_id: int) -> None:
    """Kill every process of a process group."""
    if sys.platform == "win32":
        return  # Windows has no process groups; a Job Object belongs to the sandbox there
    try:
        os.killpg(group_id, _KILL)
    except (ProcessLookupError, PermissionError):
        pass


def kill_held(descriptors: list[int]) -> None:
    """Kill the processes that `hold_descendants` found, and let go of their descriptors."""
    for descriptor in descriptors:
        try:
            _signal.pidfd_send_signal(descriptor, _KILL)
        except OSError:
            pass  # it ended meanwhile
        os.close(descriptor)
