"""`env list`, `env remove` and `env gc`: what environments take, and giving it back."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from stemsep_envs.commands.env import named_environments, utc_text
from stemsep_envs.documents.environment_reports import (
    CollectionReport,
    EnvironmentListing,
    KeptItem,
    ListedEnvironment,
    RemovedItem,
)
from stemsep_envs.documents.events import Event, OnEvent
from stemsep_envs.environments import gc, uv
from stemsep_envs.environments.disk import Survey, freed_between
from stemsep_envs.environments.environment_store import Stored, list_environments
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.paths import find_home
from stemsep_envs.planning.served_models import served_models
from stemsep_envs.separation.scratch import abandoned, clear_abandoned


def environment_listing(registry_path: Path | None = None) -> EnvironmentListing:
    """List all environments, whole and broken, last used first, with what they take and who uses them.

    A registry that cannot be read names no models; the listing tells of the disk all the same.
    """
    home = find_home()
    environments = list_environments(home)
    try:
        served = served_models(environments, registry_path)
    except StemsepEnvError:
        served = {}
    found = gc.survey_home(home, environments)
    digests = [item.digest for item in environments]
    taken = found.size(*digests)
    return EnvironmentListing(
        home=str(home.root),
        environments=tuple(_listed(item, found, served) for item in environments),
        environments_bytes=taken,
        cache=str(uv.cache_dir(home)),
        cache_bytes=found.freeable([owner for owner in _owners(found) if owner.startswith(gc.CACHE)]),
    )


def removal_plan(prefixes: Sequence[str]) -> tuple[Stored, ...]:
    """Return what `remove_environments` would remove; raises `UsageError` when one that is named does not exist."""
    return named_environments(prefixes)


def remove_environments(environments: Collection[Stored], *, on_event: OnEvent) -> CollectionReport:
    """Remove environments.

    Raises:
        BlockedError: A session uses one; those before it are gone.
        LimitError: One is being built.
        UsageError: The home cannot be written.
    """
    home = find_home()
    before = gc.survey_home(home, list_environments(home))
    for item in environments:
        on_event(Event(event="step", step="remove", message=f"removing {item.digest[:12]}"))
        gc.remove_environment(home, item.digest)
    after = gc.survey_home(home, list_environments(home))
    return CollectionReport(
        dry_run=False,
        removed=tuple(RemovedItem(kind="environment", name=item.digest, why="asked for") for item in environments),
        kept=(),
        freed_bytes=freed_between(before, after),
        remaining_bytes=after.total(),
    )


def collect_environments(
    rules: gc.Rules, *, registry_path: Path | None, dry_run: bool, on_event: OnEvent
) -> CollectionReport:
    """Remove what the rules choose, and what nobody can use.

    Raises:
        UsageError: The registry cannot be read, when it decides; or the home cannot be written.
        BuildError: uv could not empty the package cache.
    """
    home = find_home()
    served: Mapping[str, tuple[str, ...]] = {}
    if rules.unused:
        on_event(Event(event="step", step="models", message="looking which environments the registry's models use"))
        served = served_models(list_environments(home), registry_path)
    on_event(Event(event="step", step="survey", message="looking what environments and the package cache take"))
    found = gc.collect(home, rules, served=served.keys(), dry_run=dry_run)
    scratch = abandoned(home) if dry_run else clear_abandoned(home)
    removed = [
        *(RemovedItem(kind="leftover", name=str(path), why="the session that made it was killed") for path in scratch),
        *(RemovedItem(kind="environment", name=item.stored.digest, why=item.why) for item in found.environments),
        *(RemovedItem(kind="engine", name=digest, why="no environment belongs to it") for digest in found.engines),
        *(RemovedItem(kind="leftover", name=name, why="whoever made it is gone") for name in found.leftovers),
        *(RemovedItem(kind="package cache", name=name, why="no environment has it") for name in found.distributions),
    ]
    return CollectionReport(
        dry_run=dry_run,
        removed=tuple(removed),
        kept=tuple(KeptItem(digest=item.stored.digest, why=item.why) for item in found.kept),
        freed_bytes=found.freed_bytes,
        remaining_bytes=found.remaining_bytes,
    )


def _owners(found: Survey) -> set[str]:
    return {owner for inode in found.inodes.values() for owner in inode.names}


def _listed(stored: Stored, found: Survey, served: Mapping[str, tuple[str, ...]]) -> ListedEnvironment:
    receipt = stored.receipt
    used = gc.used_at(stored, time.time())
    return ListedEnvironment(
        digest=stored.digest,
        state="broken" if stored.problem else "whole",
        problem=stored.problem,
        built_for=receipt.built_for if receipt else (),
        models=served.get(stored.digest, ()),
        target=receipt.inputs.target if receipt else None,
        python=receipt.inputs.interpreter.version if receipt else None,
        link_mode=receipt.builder.link_mode if receipt else None,
        adopted=receipt.adopted.python if receipt and receipt.adopted else None,
        size_bytes=found.size(stored.digest),
        shared_bytes=found.shared(stored.digest),
        freeable_bytes=found.freeable((stored.digest,)),
        created_at=receipt.created_at if receipt else None,
        age_seconds=round(time.time() - used) if used else None,
        last_used=utc_text(stored.last_used_at),
        live_uses=stored.live_uses,
    )
