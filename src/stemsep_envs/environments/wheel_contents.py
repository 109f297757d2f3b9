"""What wheels held when they were first installed here: so that a cache with file *and* RECORD changed is found.

A pin of a lock names the hashes of a wheel, which are checked when it is fetched; what is unpacked from it has no hash
of its own but its RECORD. The first installation notes what that names, and every later one is compared with the note.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.documents.environment import EnvironmentInputs
from stemsep_envs.documents.environment_manifest import Deviation, WheelMemory
from stemsep_envs.documents.lock import Lock
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home

_log = logging.getLogger(__name__)
_MOST_DEVIATIONS = 10_000


@dataclass(frozen=True)
class Known:
    """What is known of the wheels of a lock.

    Attributes:
        contents: For each distribution that was installed before: the digest of what it held.
        deviations: Files that are known not to be what their wheel's RECORD says, by the wheel's own mistake.
    """

    contents: Mapping[str, str]
    deviations: frozenset[Deviation]


def recall(home: Home, inputs: EnvironmentInputs, lock: Lock) -> Known:
    """Return what is known of the wheels of a lock; nothing on a new machine."""
    memory = _read(home)
    keys = _keys(inputs, lock)
    contents = {name: memory.contents[key] for name, key in keys.items() if key in memory.contents}
    return Known(contents, frozenset(memory.deviations))


def remember(
    home: Home,
    inputs: EnvironmentInputs,
    lock: Lock,
    *,
    contents: Mapping[str, str],
    deviations: tuple[Deviation, ...],
) -> None:
    """Note what the wheels of a lock hold. Failing to costs a second look later, no more."""
    keys = _keys(inputs, lock)
    new = {keys[name]: digest for name, digest in contents.items() if name in keys}
    if new.items() <= _read(home).contents.items() and not deviations:
        return
    try:
        with locks.hold(home.holds_dir / "wheels"):
            memory = _read(home)
            known = tuple(dict.fromkeys((*memory.deviations, *deviations)))[-_MOST_DEVIATIONS:]
            updated = WheelMemory(contents={**memory.contents, **new}, deviations=known)
            write_atomic(_path(home), updated.model_dump_json(indent=1).encode() + b"\n")
    except StemsepEnvError as error:
        _log.debug("wheels are not remembered: %s", error)


def _keys(inputs: EnvironmentInputs, lock: Lock) -> dict[str, str]:
    """Return what stands for each pin: its hashes, and what decides which of them is installed."""
    place = [str(inputs.target), inputs.interpreter.implementation, inputs.interpreter.soabi]
    return {pin.name: digest_of([pin.name, sorted(pin.hashes), *place]) for pin in lock.pins}


def _path(home: Home) -> Path:
    return home.cache_dir / "wheels.json"


def _read(home: Home) -> WheelMemory:
    path = _path(home)
    try:
        return parse_json(path.read_bytes(), WheelMemory, origin=str(path))
    except (OSError, StemsepEnvError):
        return WheelMemory(contents={}, deviations=())
