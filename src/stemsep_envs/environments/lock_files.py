"""Lock files of a runtime: which of them still hold, and what changed between two. No network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemsep_envs.documents.lock import Lock, LockInputs, parse_lock
from stemsep_envs.documents.lock_reports import PackageChange
from stemsep_envs.environments.locking import shipped_digests
from stemsep_envs.errors import MismatchError, Reason

_AGAIN = "lock it again: `stemsep-env lock`, in a checkout `make locks`"


@dataclass(frozen=True)
class FileState:
    """The file of a lock that is needed, as it is now.

    Attributes:
        path: Where it is; None when there is none.
        lock: Its content, when it can be read.
        reasons: Why it does not hold; empty when it does.
    """

    path: Path | None
    lock: Lock | None
    reasons: tuple[Reason, ...] = ()


def file_state(inputs: LockInputs, folder: Path, name: str) -> FileState:
    """Look for a lock: by the digest of what the resolver is asked, and failing that by its conventional name.

    Args:
        inputs: What the resolver is asked.
        folder: Where the runtime's locks are.
        name: What its file is called.
    """
    path = shipped_digests(folder).get(inputs.digest) or folder / name
    if not path.is_file():
        words = f"there is no lock for {inputs.target} on Python {inputs.python}"
        return FileState(None, None, (Reason("lock_missing", words, hint=_AGAIN),))
    try:
        lock = parse_lock(path.read_bytes(), origin=str(path))
    except MismatchError as error:
        return FileState(path, None, (Reason(error.code, error.message, hint=error.hint),))
    if lock.inputs.digest != inputs.digest:
        words = f"it was made for other requirements: {'; '.join(_differences(lock.inputs, inputs))}"
        return FileState(path, lock, (Reason("lock_inputs_changed", words, hint=_AGAIN),))
    return FileState(path, lock)


def package_changes(before: Lock | None, after: Lock) -> tuple[PackageChange, ...]:
    """Return what differs from one lock to the next, by name."""
    old = {pin.name: pin for pin in before.pins} if before else {}
    new = {pin.name: pin for pin in after.pins}
    changes = []
    for name in sorted(old.keys() | new.keys()):
        left, right = old.get(name), new.get(name)
        if left is None and right is not None:
            changes.append(PackageChange(name=name, change="added", before=None, after=right.version))
        elif right is None and left is not None:
            changes.append(PackageChange(name=name, change="removed", before=left.version, after=None))
        elif left is not None and right is not None and left != right:
            kind: Literal["version", "files"] = "files" if left.version == right.version else "version"
            changes.append(PackageChange(name=name, change=kind, before=left.version, after=right.version))
    return tuple(changes)


def strangers(folder: Path, wanted: frozenset[str]) -> tuple[Path, ...]:
    """Return the lock files of a folder that no model needs.

    Args:
        folder: Where the runtime's locks are.
        wanted: Digests of what the resolver is asked for the locks that are needed.
    """
    return tuple(path for digest, path in sorted(shipped_digests(folder).items()) if digest not in wanted)


def _differences(before: LockInputs, after: LockInputs) -> list[str]:
    """Say in words how what two locks were asked for differs."""
    words = []
    if before.target != after.target or before.python != after.python:
        words.append(f"{before.target} on Python {before.python}")
    pairs: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    pairs = (("", before.requires, after.requires), ("torch package ", before.torch_packages, after.torch_packages))
    pairs += (("built from source: ", before.builds, after.builds), ("left out: ", before.excluded, after.excluded))
    for what, old, new in pairs:
        words += [f"{what}{line} is no longer required" for line in old if line not in new]
        words += [f"{what}{line} is new" for line in new if line not in old]
    return words
