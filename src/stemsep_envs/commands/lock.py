"""`lock`: resolve what models need, for any target from any host, or say which locks must be made again."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from stemsep_envs.documents.lock_formats import LockFormat
from stemsep_envs.documents.lock_reports import LockAnswer, LockReport
from stemsep_envs.environments.locking import home_lock_path
from stemsep_envs.environments.reporting import Report
from stemsep_envs.host.paths import Home, data_dir, find_home
from stemsep_envs.planning.lock_requests import LockRequest, LockSelection, find_requests, refuse_unused_pythons
from stemsep_envs.provisioning.locks import (
    Resolver,
    check_lock,
    ensure_lock,
    export_lock,
    first_resolved,
    unneeded_locks,
)
from stemsep_envs.registry.recipes import RECIPE_NAME

_AT_ONCE = 4
"""Resolvers that run at a time: they wait for the network more than they compute."""


@dataclass(frozen=True)
class LockOptions:
    """What is to be done with the locks that are wanted.

    Attributes:
        selection: Which locks.
        check: Only say which must be made again.
        upgrade: Take the newest versions instead of keeping those of before; with `check`, ask the resolver too.
        format: As what they are written.
        output_dir: Where they are written: the ``runtimes`` folder of a checkout, or any folder; None for the home.
        offline: Forbid the network.
    """

    selection: LockSelection
    check: bool = False
    upgrade: bool = False
    format: LockFormat = "requirements"
    output_dir: Path | None = None
    offline: bool = False


def lock_models(options: LockOptions, *, report: Report) -> LockReport:
    """Resolve the locks that are wanted, or check them. One that fails does not stop the others; it is reported.

    Raises:
        BlockedError: A model that was named cannot be locked.
        UsageError: An unknown model, runtime or Python; a folder that cannot be written.
        InvalidDocumentError: A registry entry, a recipe or the configuration is wrong.
    """
    home = find_home()
    runtimes_dir = options.output_dir or data_dir("runtimes")
    in_runtimes = (options.check or options.output_dir is not None) and any(runtimes_dir.glob(f"*/{RECIPE_NAME}"))
    selection = replace(options.selection, shipped=in_runtimes and options.format == "requirements")
    requests, skipped = find_requests(selection, home=home)
    refuse_unused_pythons(selection, requests)
    resolver = Resolver(home, options.upgrade, options.offline, report)

    def answer(request: LockRequest) -> LockAnswer:
        path = _path(request, options, runtimes_dir=runtimes_dir if in_runtimes else None, home=home)
        if options.check:
            return check_lock(request, path, resolver)
        return (export_lock if options.format == "pylock" else ensure_lock)(request, path, resolver)

    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, (os.cpu_count() or 1) + 1)) as pool:
        answers = tuple(pool.map(lambda request: first_resolved(request, answer), requests))
    is_whole = selection.shipped and not (selection.model_ids or selection.targets or selection.pythons)
    return LockReport(
        action="check" if options.check else "resolve",
        locks=answers,
        skipped=skipped,
        strangers=tuple(map(str, unneeded_locks(requests, runtimes_dir))) if is_whole else (),
        written=tuple(item.path for item in answers if item.state == "written" and item.path),
    )


def _path(request: LockRequest, options: LockOptions, *, runtimes_dir: Path | None, home: Home) -> Path:
    """Return the file of a lock; ``runtimes_dir`` is None where locks do not go beside their runtimes."""
    runtime_id = request.runtime.recipe.id
    if options.format == "pylock":
        stem = request.name.removesuffix(".txt").replace(".", "_")  # PEP 751 knows no dots in such names
        return (options.output_dir or Path.cwd()) / f"pylock.{runtime_id}-{stem}.toml"
    if runtimes_dir is not None:
        return runtimes_dir / runtime_id / "locks" / request.name
    if options.output_dir is not None:
        return options.output_dir / f"{runtime_id}-{request.name}"
    return home_lock_path(request.inputs, home)
