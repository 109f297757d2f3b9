"""Finding the lock that answers a question, and writing locks.

A lock is found by the digest of its inputs, never by its name: among those that ship with the runtime, then among those
resolved on this machine. One whose text was changed is refused, not passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemsep_envs.documents.lock import Lock, LockInputs, inputs_digest_of, parse_lock
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Target
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home

_HEAD_BYTES = 16384
"""A header fits in this: it names what was asked for, not what was found."""


@dataclass(frozen=True)
class FoundLock:
    """A lock, its file, and whether it shipped with the runtime or was resolved on this machine."""

    lock: Lock
    path: Path
    origin: Literal["shipped", "home"]


def lock_inputs(requirements: Requirements, target: Target, python: str) -> LockInputs:
    """Return the question that a lock for one target and one Python minor answers."""
    return LockInputs(
        target,
        python,
        requirements.lines(target.family.name),
        torch_packages=tuple(sorted(requirements.torch_packages)),
        builds=requirements.source_distributions,
        excluded=requirements.excluded,
    )


def shipped_digests(locks_dir: Path) -> dict[str, Path]:
    """Return which questions the locks of a runtime answer: digest of the inputs to file. Reads headers only."""
    answers: dict[str, Path] = {}
    for path in sorted(locks_dir.glob("*.txt")):
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).decode(errors="replace")
        digest = inputs_digest_of(head)
        if digest is not None:
            answers.setdefault(digest, path)
    return answers


def find_lock(inputs: LockInputs, *, shipped: dict[str, Path], home: Home) -> FoundLock | None:
    """Return the lock that answers ``inputs``, or None when it has to be resolved.

    Raises:
        MismatchError: There is one, and it was changed.
    """
    places: tuple[tuple[Path | None, Literal["shipped", "home"]], ...] = (
        (shipped.get(inputs.digest), "shipped"),
        (home_lock_path(inputs, home), "home"),
    )
    for path, origin in places:
        if path is not None and path.is_file():
            return FoundLock(parse_lock(path.read_bytes(), origin=str(path)), path, origin)
    return None


def home_lock_path(inputs: LockInputs, home: Home) -> Path:
    """Return where a lock that was resolved on this machine is kept."""
    return home.locks_dir / f"{inputs.digest}.txt"


def write_if_changed(path: Path, lock: Lock) -> bool:
    """Write a lock unless the file says the same but for day and resolver; say whether it was written."""
    if path.is_file():
        old = parse_lock(path.read_bytes(), origin=str(path))
        if old.inputs == lock.inputs and old.digest == lock.digest:
            return False
    write_atomic(path, lock.text().encode())
    return True


def shipped_name(target: Target, python: str, variant: str | None = None) -> str:
    """Return the conventional name of a shipped lock: ``linux-x86_64-cpu-py311.txt``, led by the variant if any."""
    prefix = f"{variant}-" if variant else ""
    return f"{prefix}{target}-py{python.replace('.', '')}.txt"
