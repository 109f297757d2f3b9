"""The package cache of a home: which distributions it keeps, which of them nobody needs, and letting those go.

It is uv's cache, and beside it what is built from source. Only a cache that is this home's own is ever emptied:
another may serve other homes and projects. uv itself removes what goes; where its files lie is looked at only to say
how much that is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from stemsep_envs.documents.lock import parse_lock
from stemsep_envs.environments import environment_store, uv
from stemsep_envs.environments.sources.source_cache import kept_by_distribution
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree

_log = logging.getLogger(__name__)

_CLEAN_SECONDS = 600.0
_AT_ONCE = 200
UNKNOWN = ""
"""Stands for what is in the cache and belongs to no distribution: indexes, answers of the interpreters."""


def is_own(home: Home) -> bool:
    """Say whether the package cache belongs to this home alone."""
    return uv.cache_dir(home) == home.cache_dir / "uv"


def folders_by_distribution(home: Home) -> dict[str, list[Path]]:
    """Return the folders of this home's own cache for each distribution; everything else under `UNKNOWN`."""
    found: dict[str, list[Path]] = {}
    for distribution, folder in kept_by_distribution(home):
        found.setdefault(distribution, []).append(folder)
    for bucket in _entries(uv.cache_dir(home)) if is_own(home) else ():
        if bucket.name.startswith("archive-") and bucket.is_dir():
            for archive in _entries(bucket):
                found.setdefault(_distribution_of(archive), []).append(archive)
        else:
            found.setdefault(UNKNOWN, []).append(bucket)
    return found


def unneeded(home: Home, environments: Collection[environment_store.Stored]) -> tuple[str, ...]:
    """Return the distributions in this home's own cache that none of these environments has and no build wants."""
    needed = {package.name for stored in environments if stored.receipt for package in stored.receipt.packages}
    needed |= set(_being_built(home))
    return tuple(sorted(folders_by_distribution(home).keys() - needed - {UNKNOWN}))


def remove(home: Home, distributions: Collection[str]) -> None:
    """Remove distributions, and what no distribution refers to any more, from this home's own cache.

    Raises:
        BuildError: uv could not.
        LimitError: Another process kept the cache to itself for too long.
    """
    for distribution, folder in kept_by_distribution(home):
        if distribution in distributions:
            remove_tree(folder)
    if not is_own(home):
        return
    names = sorted(distributions)
    for start in range(0, len(names), _AT_ONCE):
        _call(home, ("cache", "clean", "--quiet", *names[start : start + _AT_ONCE]))
    if uv.cache_dir(home).is_dir():
        _call(home, ("cache", "prune", "--quiet"))


def _call(home: Home, arguments: tuple[str, ...]) -> None:
    what = "emptying the package cache of what nobody needs"
    uv.call_uv(arguments, home=home, what=what, offline=True, timeout_seconds=_CLEAN_SECONDS)


def _being_built(home: Home) -> Iterator[str]:
    for staging in home.environments_dir.glob(f"{environment_store.BUILDING}*"):
        path = staging / environment_store.LOCK
        try:
            yield from (pin.name for pin in parse_lock(path.read_bytes(), origin=str(path)).pins)
        except (OSError, StemsepEnvError) as error:
            _log.debug("not counted as needed: %s: %s", path, error)


def _distribution_of(archive: Path) -> str:
    for entry in _entries(archive):
        if entry.name.endswith(".dist-info"):
            return str(canonicalize_name(entry.name.removesuffix(".dist-info").rpartition("-")[0]))
    return UNKNOWN


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries]
    except OSError:
        return []
