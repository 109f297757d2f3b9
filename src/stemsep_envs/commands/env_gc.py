"""`env gc`: free what nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stemsep_envs.documents.environment_reports import CollectionReport, KeptItem, RemovedItem
from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.environments import gc
from stemsep_envs.environments.environment_store import list_environments
from stemsep_envs.host.paths import find_home
from stemsep_envs.planning.served_models import served_models
from stemsep_envs.separation.scratch import abandoned, clear_abandoned


def collect_environments(
    rules: gc.Rules, *, registry_path: Path | None, dry_run: bool, on_event: OnEvent
) -> CollectionReport:
    """Remove what the rules choose, and what nobody can use.

    Raises:
        UsageError: The registry cannot be read, when it decides; or the home cannot be written.
        BuildError: uv could not empty the package cache.
    """
    home, report = find_home(), step_reporter(on_event)
    served: Mapping[str, tuple[str, ...]] = {}
    if rules.unused:
        report("models", "finding the environments that the registry's models use")
        served = served_models(list_environments(home), registry_path)
    report("survey", "measuring environments and the package cache")
    found = gc.collect(home, rules, served=served.keys(), dry_run=dry_run)
    scratch = abandoned(home) if dry_run else clear_abandoned(home)
    removed = [
        *(RemovedItem(kind="leftover", name=str(path), why="the session that made it was killed") for path in scratch),
        *(RemovedItem(kind="environment", name=item.stored.digest, why=item.why) for item in found.environments),
        *(RemovedItem(kind="engine", name=digest, why="no environment uses it") for digest in found.engines),
        *(RemovedItem(kind="leftover", name=name, why="the process that made it is gone") for name in found.leftovers),
        *(RemovedItem(kind="package cache", name=name, why="no environment uses it") for name in found.distributions),
    ]
    return CollectionReport(
        dry_run=dry_run,
        removed=tuple(removed),
        kept=tuple(KeptItem(digest=item.stored.digest, why=item.why) for item in found.kept),
        freed_bytes=found.freed_bytes,
        remaining_bytes=found.remaining_bytes,
    )
