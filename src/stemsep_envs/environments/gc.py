"""Freeing disk: which environments go, least recently used first, and removing them while others work.

An environment that a live session uses stays, also when the session began after the choice was made: under the lock of
its digest nobody can begin, and what was used since it was chosen is no longer chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stemsep_envs.environments import environment_store, package_cache
from stemsep_envs.environments.disk import Survey, freed_between, survey
from stemsep_envs.environments.engines import engine_store
from stemsep_envs.environments.environment_store import Stored
from stemsep_envs.host import digest_store
from stemsep_envs.host.last_use import record_use
from stemsep_envs.host.paths import Home

CACHE = "cache:"
_LEFTOVERS = "leftovers"
_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Rules:
    """What is to go, beside what cannot be used and what dead processes left.

    Attributes:
        max_age_seconds: Environments that were not used for this long.
        max_bytes: The least recently used, until environments, engines and package cache take no more than this.
        unused: Environments that no model of the registry would use.
    """

    max_age_seconds: float | None = None
    max_bytes: int | None = None
    unused: bool = False


@dataclass(frozen=True)
class Choice:
    """An environment to remove, and why."""

    stored: Stored
    why: str


@dataclass(frozen=True)
class Collected:
    """What was, or would be, removed.

    Attributes:
        environments: Those that went.
        kept: Those that were to go and stay, each with the reason.
        engines: Digests of engines that belong to no environment any more.
        leftovers: Names of what dead processes left.
        distributions: What went from the package cache.
        freed_bytes: What came, or would come, back.
        remaining_bytes: What is left.
    """

    environments: tuple[Choice, ...]
    kept: tuple[Choice, ...]
    engines: tuple[str, ...]
    leftovers: tuple[str, ...]
    distributions: tuple[str, ...]
    freed_bytes: int
    remaining_bytes: int


def used_at(stored: Stored, now: float) -> float:
    """Return when an environment was last used, else built; a time in the future, of a clock that was wrong, is now."""
    used = stored.last_used_at
    if used is None and stored.receipt is not None:
        with suppress(ValueError):
            used = datetime.fromisoformat(stored.receipt.created_at).timestamp()
    return min(used or 0.0, now)


def choose(
    environments: Sequence[Stored],
    rules: Rules,
    *,
    now: float,
    served: Collection[str],
    taken_after: Callable[[Collection[Stored]], int],
) -> tuple[Choice, ...]:
    """Choose the environments that go, least recently used first. Pure.

    What was adopted stays, also when it changed and is refused: it takes next to nothing, and once its note is gone
    something else would be built in its place without a word.

    Args:
        environments: All of them.
        rules: What is to go.
        now: Seconds since 1970.
        served: Digests that models of the registry would use.
        taken_after: What the home takes when only these environments are left.
    """
    chosen: list[Choice] = []
    idle = [item for item in environments if not (item.live_uses or _is_adopted(item))]
    idle.sort(key=lambda item: used_at(item, now))
    for item in idle:
        age = now - used_at(item, now)
        if item.problem is not None:
            chosen.append(Choice(item, f"it cannot be used: {item.problem}"))
        elif rules.max_age_seconds is not None and age >= rules.max_age_seconds:
            chosen.append(Choice(item, f"not used for {age / 86400:.1f} days"))
        elif rules.unused and item.digest not in served:
            chosen.append(Choice(item, "no model of the registry uses it"))
    if rules.max_bytes is not None:
        gone = {choice.stored.digest for choice in chosen}
        for item in idle:
            left = [other for other in environments if other.digest not in gone]
            if taken_after(left) <= rules.max_bytes:
                break
            if item.digest not in gone:
                chosen.append(Choice(item, "least recently used, and more is taken than is allowed"))
                gone.add(item.digest)
    return tuple(chosen)


def _is_adopted(stored: Stored) -> bool:
    return stored.receipt is not None and stored.receipt.adopted is not None


def collect(home: Home, rules: Rules, *, served: Collection[str], dry_run: bool) -> Collected:
    """Remove what nobody needs and say what came back.

    Raises:
        BuildError: uv could not empty the package cache.
        UsageError: The home cannot be written.
    """
    now = time.time()
    environments = environment_store.list_environments(home)
    before = survey_home(home, environments)

    def taken_after(left: Collection[Stored]) -> int:
        return before.total() - before.freeable(_owners_that_go(home, environments, left))

    chosen = choose(environments, rules, now=now, served=served, taken_after=taken_after)
    if dry_run:
        left = [item for item in environments if item.digest not in {choice.stored.digest for choice in chosen}]
        owners = _owners_that_go(home, environments, left)
        freed = before.freeable(owners)
        return Collected(
            chosen,
            (),
            _engines_without(home, left),
            _leftovers(home),
            package_cache.unneeded(home, left),
            freed,
            before.total() - freed,
        )
    leftovers = _leftovers(home)
    removed, kept = _remove_chosen(home, chosen)
    _set_future_marks(home, environments, now)
    for store in (environment_store.store_of(home), engine_store.store_of(home)):
        digest_store.clear_leftovers(store)
    left = list(environment_store.list_environments(home))
    idle_engines = tuple(digest for digest in _engines_without(home, left) if _remove_engine(home, digest))
    distributions = package_cache.unneeded(home, left)
    package_cache.remove(home, distributions)
    after = survey_home(home, left)
    gone = tuple(name for name in leftovers if not (home.root / name).exists())
    return Collected(removed, kept, idle_engines, gone, distributions, freed_between(before, after), after.total())


def remove_environment(home: Home, digest: str) -> None:
    """Remove one environment.

    Raises:
        BlockedError: A session uses it; says who.
        LimitError: It is being built.
    """
    with digest_store.hold(environment_store.store_of(home), digest, timeout_seconds=_WAIT_SECONDS):
        environment_store.refuse_if_used(home, digest)
        environment_store.remove(home, digest)


def survey_home(home: Home, environments: Collection[Stored]) -> Survey:
    """Look at all that environments, engines and the package cache take; another's cache counts for its links only."""
    folders: dict[str, list[Path]] = {item.digest: [item.dir] for item in environments}
    folders[_LEFTOVERS] = [home.root / name for name in _leftovers(home)]
    for engine in engine_store.list_engines(home):
        folders[engine.digest] = [engine.dir]
    for distribution, places in package_cache.folders_by_distribution(home).items():
        folders[CACHE + distribution] = places
    return survey(folders)


def _owners_that_go(home: Home, environments: Collection[Stored], left: Collection[Stored]) -> set[str]:
    """Return the owners of a survey that go when only these environments are left."""
    owners = {item.digest for item in environments} - {item.digest for item in left}
    owners |= {_LEFTOVERS, *_engines_without(home, left)}
    return owners | {CACHE + name for name in package_cache.unneeded(home, left)}


def _remove_chosen(home: Home, chosen: Sequence[Choice]) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    store, removed, kept = environment_store.store_of(home), [], []
    for choice in chosen:
        stored = choice.stored
        why_not = digest_store.remove_if_idle(store, stored.digest, last_used_at=stored.last_used_at)
        if why_not is None:
            removed.append(choice)
        else:
            kept.append(Choice(stored, why_not))
    return tuple(removed), tuple(kept)


def _set_future_marks(home: Home, environments: Collection[Stored], now: float) -> None:
    """Take times in the future for now, so that what a wrong clock wrote grows old from today."""
    for item in environments:
        mark = environment_store.last_used_path(home, item.digest)
        if (item.last_used_at or 0.0) > now and mark.exists():
            record_use(mark)


def _engines_without(home: Home, environments: Collection[Stored]) -> tuple[str, ...]:
    """Return the engines that none of these environments belongs to."""
    needed = {item.receipt.inputs.engine for item in environments if item.receipt}
    return tuple(engine.digest for engine in engine_store.list_engines(home) if engine.digest not in needed)


def _remove_engine(home: Home, digest: str) -> bool:
    return digest_store.remove_if_idle(engine_store.store_of(home), digest, last_used_at=None) is None


def _leftovers(home: Home) -> tuple[str, ...]:
    """Return what dead builders and removers left, below the home."""
    stores = (environment_store.store_of(home), engine_store.store_of(home))
    return tuple(
        sorted(path.relative_to(home.root).as_posix() for store in stores for path in digest_store.leftovers(store))
    )
