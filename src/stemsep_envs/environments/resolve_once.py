"""Resolving a question once, whoever else asks the same, and keeping the answer in the home."""

from __future__ import annotations

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.environments import resolving
from stemsep_envs.environments.locking import FoundLock, find_lock, home_lock_path
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.unsatisfiable_cache import recall
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home


def resolve_once(
    inputs: LockInputs,
    requirements: Requirements,
    *,
    home: Home,
    what: str,
    offline: bool,
    report: Report,
    sdist_metadata: resolving.SdistMetadata | None = None,
) -> FoundLock:
    """Resolve a question and keep the answer in the home; of several processes that ask at once, one resolves.

    Args:
        inputs: The question.
        requirements: The requirements behind it, for saying who asks what cannot be met.
        home: Where locks are kept.
        what: What is locked, in words.
        offline: Use only what the package cache holds.
        report: Told of what is done.
        sdist_metadata: Tells what source distributions need; see `resolving.resolve`.

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
        report("lock", f"resolving {what}")
        lock = resolving.resolve(
            inputs,
            requirements,
            home=home,
            what=what,
            offline=offline,
            sdist_metadata=sdist_metadata,
        )
        write_atomic(path, lock.text().encode())
        return FoundLock(lock, path, "home")
