"""`env list`: the environments of this home, what they take, and who uses them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from stemsep_envs.documents.environment_reports import EnvironmentListing, ListedEnvironment
from stemsep_envs.documents.timestamps import utc_text
from stemsep_envs.environments import gc, uv
from stemsep_envs.environments.disk import Survey
from stemsep_envs.environments.environment_store import Stored, list_environments
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.paths import find_home
from stemsep_envs.planning.served_models import served_models


def environment_listing(registry_path: Path | None = None) -> EnvironmentListing:
    """List all environments, whole and broken, last used first, with what they take and who uses them.

    A registry that cannot be read names no models; the sizes are listed all the same.
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
