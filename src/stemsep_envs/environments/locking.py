"""Finding the lock that answers a question, and having it resolved, once, where there is none.

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
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.targets import family_of
from stemsep_envs.environments.unsatisfiable_cache import recall
from stemsep_envs.host import files, locks
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
        requirements.lines(family_of(target.accelerator)),
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


def resolve_once(
    inputs: LockInputs,
    asked: Requirements,
    *,
    home: Home,
    what: str,
    offline: bool,
    report: Report,
    confine: Confine | None = None,
) -> FoundLock:
    """Resolve a question and keep the answer in the home; of several processes that ask at once, one resolves.

    Args:
        inputs: The question.
        asked: The requirements behind it, for saying who asks what cannot be met.
        home: Where locks are kept.
        what: What is locked, in words.
        offline: Use only what the package cache holds.
        report: Told of what is done.
        confine: Confines the builds of source distributions, where one has to be asked what it needs.

    Raises:
        BuildError: It cannot be resolved.
    """
    path = home_lock_path(inputs, home)
    waited: list[bool] = []

    def on_wait() -> None:
        waited.append(True)
        report("lock", "another process is resolving the same")

    with locks.hold(home.holds_dir / f"lock-{inputs.digest[:16]}", on_wait=on_wait):
        found = find_lock(inputs, shipped={}, home=home)
        if found is not None:
            return found
        refusal = recall(inputs, home=home) if waited else None
        if refusal is not None:  # whoever was before asked just now
            raise refusal.error()
        from stemsep_envs.environments.resolving import resolve  # noqa: PLC0415 - most locks are there already

        report("lock", f"resolving {what}")
        lock = resolve(inputs, asked, home=home, what=what, offline=offline, report=report, confine=confine)
        files.write_atomic(path, lock.text().encode())
        return FoundLock(lock, path, "home")


def write_if_changed(path: Path, lock: Lock) -> bool:
    """Write a lock unless the file says the same but for day and resolver; say whether it was written."""
    if path.is_file():
        old = parse_lock(path.read_bytes(), origin=str(path))
        if old.inputs == lock.inputs and old.digest == lock.digest:
            return False
    files.write_atomic(path, lock.text().encode())
    return True


def shipped_name(target: Target, python: str, variant: str | None = None) -> str:
    """Return the conventional name of a shipped lock: ``linux-x86_64-cpu-py311.txt``, led by the variant if any."""
    prefix = f"{variant}-" if variant else ""
    return f"{prefix}{target}-py{python.replace('.', '')}.txt"
