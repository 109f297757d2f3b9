"""`env remove`: remove environments that are named."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stemsep_envs.documents.environment_reports import CollectionReport, RemovedItem
from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.environments import gc
from stemsep_envs.environments.disk import freed_between
from stemsep_envs.environments.environment_store import Stored, list_environments
from stemsep_envs.environments.lookup import named_environments
from stemsep_envs.host.paths import find_home


def removal_plan(prefixes: Sequence[str]) -> tuple[Stored, ...]:
    """Return what `remove_environments` would remove; raises `UsageError` when one that is named does not exist."""
    return named_environments(find_home(), prefixes)


def remove_environments(environments: Collection[Stored], *, on_event: OnEvent) -> CollectionReport:
    """Remove environments.

    Raises:
        BlockedError: A session uses one; those before it are gone.
        LimitError: One is being built.
        UsageError: The home cannot be written.
    """
    home = find_home()
    before = gc.survey_home(home, list_environments(home))
    report = step_reporter(on_event)
    for item in environments:
        report("remove", f"removing {item.digest[:12]}")
        gc.remove_environment(home, item.digest)
    after = gc.survey_home(home, list_environments(home))
    return CollectionReport(
        dry_run=False,
        removed=tuple(RemovedItem(kind="environment", name=item.digest, why="asked for") for item in environments),
        kept=(),
        freed_bytes=freed_between(before, after),
        remaining_bytes=after.total(),
    )
