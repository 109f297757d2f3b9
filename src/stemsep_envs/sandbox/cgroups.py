"""Control groups: the only bound on memory and processes that holds for a worker's whole tree, where they can be made.

That is: by root outside of containers, and by the user of a desktop whose service manager has delegated its part of
the hierarchy. Both versions occur. A group left by a killed host is removed by whoever comes next.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.sandbox.launcher.control_groups import kill_groups
from stemsep_envs.sandbox.policy import Limits

_log = logging.getLogger(__name__)

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "stemsep-env-"


@dataclass(frozen=True)
class Groups:
    """The control groups of one worker.

    Attributes:
        folders: One in each hierarchy (version 1), or the one there is.
        bounds_memory: Whether they bound memory; where not, a resource limit must.
        bounds_processes: Likewise for the number of processes.
        events: The file that counts processes killed for memory.
    """

    folders: tuple[Path, ...] = ()
    bounds_memory: bool = False
    bounds_processes: bool = False
    events: Path | None = None

    def killed_for_memory(self) -> bool:
        """Say whether the kernel killed a process of the worker because memory ran out."""
        return self._count("oom_kill", unknown=0) > 0

    def reached_own_limit(self) -> bool:
        """Say whether it was their own limit: not that of a group they are in, nor the machine's end."""
        return self._count("oom", unknown=1) > 0

    def _count(self, event: str, *, unknown: int) -> int:
        """Return how often something happened; version 1 does not count everything."""
        if self.events is None:
            return unknown
        try:
            counts = dict(line.split() for line in self.events.read_text(encoding="ascii").splitlines())
            return int(counts.get(event, unknown))
        except (OSError, ValueError):
            return unknown


@contextmanager
def groups_for(limits: Limits) -> Iterator[Groups]:
    """Yield control groups with these limits, as far as they are available; at the end empty and remove them."""
    groups = _create(limits)
    try:
        yield groups
    finally:
        kill_groups([str(folder) for folder in groups.folders])


def _create(limits: Limits) -> Groups:
    name = f"{_PREFIX}{os.getpid()}-{_process_numbers()}-{secrets.token_hex(4)}"
    settings = {
        "memory": _memory_settings(limits.memory_bytes),
        "pids": {} if limits.processes is None else {"pids.max": str(limits.processes)},
    }
    wanted = {controller: files for controller, files in settings.items() if files}
    parents = _own_groups()
    if "" in parents and (unified := _delegated(parents[""], wanted)) is not None:
        files = {file: value for values in wanted.values() for file, value in values.items()}
        folder = _made(unified / name, files)
        if folder is not None:
            return Groups((folder,), "memory" in wanted, "pids" in wanted, folder / "memory.events")
    made = {
        controller: folder
        for controller, files in wanted.items()
        if controller in parents and (folder := _made(parents[controller] / name, files)) is not None
    }
    events = made["memory"] / "memory.oom_control" if "memory" in made else None
    return Groups(tuple(made.values()), "memory" in made, "pids" in made, events)


def _memory_settings(memory_bytes: int | None) -> Mapping[str, str]:
    """Return the limit files of both versions, in the order they must be written; each group has only its own."""
    if memory_bytes is None:
        return {}
    limit = str(memory_bytes)
    return {
        "memory.limit_in_bytes": limit,
        "memory.memsw.limit_in_bytes": limit,
        "memory.max": limit,
        "memory.swap.max": "0",
    }


def _own_groups() -> dict[str, Path]:
    """Return the folder of this process's group by controller; version 2 under the empty name."""
    found: dict[str, Path] = {}
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            mounted = _ROOT / controller if controller else _ROOT
            folder = mounted / path.lstrip("/")
            if ".." not in folder.parts and folder.is_dir():
                found[controller] = folder
    return found


def _delegated(own: Path, controllers: Mapping[str, object]) -> Path | None:
    """Return the nearest group whose children have the controllers and into whose children we may move."""
    for folder in (own, *own.parents):
        if folder == _ROOT.parent:
            break
        try:
            enabled = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
        except OSError:
            continue
        if set(controllers) <= set(enabled) and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
    return None


def _made(folder: Path, files: Mapping[str, str]) -> Path | None:
    """Make a group and set its limits; None where that is not ours to do."""
    _sweep(folder.parent)
    try:
        folder.mkdir()
    except OSError as error:
        _log.debug("no control group at %s: %s", folder, error)
        return None
    try:
        for file, value in files.items():
            if (folder / file).exists():
                _write(folder / file, value)
    except OSError as error:
        _log.debug("no limits for control group %s: %s", folder, error)
        folder.rmdir()
        return None
    return folder


def _write(path: Path, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)  # a kernel's file: written in place, in one call
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """End what is left in the groups of hosts that were killed, and remove them."""
    abandoned = []
    with suppress(OSError):
        for folder in parent.glob(f"{_PREFIX}*-*-*"):
            host, numbers, _ = folder.name.removeprefix(_PREFIX).split("-", 2)
            if numbers == _process_numbers() and host.isdigit() and not Path(f"/proc/{host}").exists():
                abandoned.append(str(folder))
    kill_groups(abandoned)


def _process_numbers() -> str:
    """Return a word for the process namespace: the number of a process elsewhere says nothing of whether it lives."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "0"
