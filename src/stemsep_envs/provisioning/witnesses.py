"""What an answer of `ensure` rests on: while none of it changes, the answer stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.artifacts import blobs, index
from stemsep_envs.artifacts.model_files import wanted_files
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.adopted import notes_dir
from stemsep_envs.host.interpreters import folders_to_watch
from stemsep_envs.host.paths import data_dir, find_home
from stemsep_envs.planning.plan import Plan
from stemsep_envs.provisioning.provision import Provisioned
from stemsep_envs.registry.recipes import RECIPE_NAME


@dataclass(frozen=True)
class Witnesses:
    """Files and folders that an answer rests on: while none of them changes, on the same machine, neither does it.

    Attributes:
        read: What the answer was found with: registry, runtimes, recipes, locks, artifacts.
        searched: Folders that were looked in for interpreters; they need not exist.
        made: What the answer is: receipts, interpreters of environments, locks that were resolved for it.
        used_marks: Files whose time of change says when the environments and artifacts were last used.
    """

    read: tuple[Path, ...]
    searched: tuple[Path, ...]
    made: tuple[Path, ...]
    used_marks: tuple[Path, ...]


def witnesses_of(registry_path: Path, ready: Sequence[Provisioned], converted: Sequence[Plan]) -> Witnesses:
    """Return what an answer rests on.

    Args:
        registry_path: The registry that the models are in.
        ready: The models' plans with their environments.
        converted: The same plans with checkpoints in their converted form.
    """
    read = {registry_path, data_dir("runtimes")}
    made: set[Path] = set()
    marks: set[Path] = set()
    for plan, environment in ((each.plan, each.environment) for each in ready):
        shipped = plan.runtime.locks_dir
        read |= {plan.runtime.dir / RECIPE_NAME, shipped, *shipped.glob("*.txt")}
        read |= {artifact.path for artifact in plan.artifacts}
        if plan.environment.lock is not None:
            read.add(plan.environment.lock.path)
        else:  # resolved just now, perhaps for another Python than was planned
            made.add(plan.home.locks_dir / f"{environment.receipt.lock_inputs}.txt")
        made |= {environment.dir / environment_store.RECEIPT, environment.python}
        if plan.engine is not None:
            made.add(plan.engine.receipt_path(plan.home))
            read |= set(plan.engine.recipe_files())
        marks.add(environment_store.last_used_path(plan.home, environment.digest))
        marks |= {blobs.stamp_path(plan.home, artifact.record.sha256) for artifact in plan.artifacts}
        noted = (index.entry_path(plan.home, key) for wanted in wanted_files(plan.entry) for key in wanted.keys)
        read |= {path for path in noted if path.is_file()}
        adopted = environment.receipt.adopted
        read |= set(map(Path, adopted.site_dirs)) if adopted is not None else set()
    searched = {*folders_to_watch(find_home(), os.environ), notes_dir(find_home())}
    made |= {artifact.path for plan in converted for artifact in plan.artifacts if artifact.converted is not None}
    return Witnesses(*(tuple(sorted(paths)) for paths in (read, searched, made, marks)))
