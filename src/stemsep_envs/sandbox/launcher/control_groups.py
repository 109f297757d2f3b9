"""Entering the control groups that the host made for a worker, and ending all that is in them."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def join_groups(groups: Sequence[str]) -> None:
    """Move this process into the control groups."""
    for group in groups:
        _write(f"{group}/cgroup.procs", "0")


def kill_groups(groups: Sequence[str]) -> None:
    """Kill whatever is left in the control groups and remove them; what another has removed is fine."""
    for group in groups:
        for attempt in range(300):  # the dead leave their group a moment after they died
            try:
                os.rmdir(group)
                break
            except FileNotFoundError:
                break
            except OSError:
                _kill_members(group)
                select.select((), (), (), 0.001 if attempt < 50 else 0.01)


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
