"""What this host offers to models: home, interpreters, accelerators, targets, sandbox levels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence

from stemsep_envs.documents.accelerators import KNOWN_BUILDS
from stemsep_envs.documents.doctor_report import (
    AcceleratorFacts,
    HomeFacts,
    InterpreterFacts,
    LevelFacts,
    RuntimeTarget,
)
from stemsep_envs.documents.target import Platform
from stemsep_envs.environments import uv
from stemsep_envs.environments.environment_store import list_environments
from stemsep_envs.environments.merging import merge, runtime_demands
from stemsep_envs.environments.targets import choose_target
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.accelerators import Accelerators, Usable, why_not
from stemsep_envs.host.interpreters import find_interpreters
from stemsep_envs.host.paths import Home, data_dir
from stemsep_envs.registry.catalogue import catalogue_at
from stemsep_envs.registry.recipes import known_runtimes, load_runtime
from stemsep_envs.sandbox.levels import levels_here, measured


def home_facts(home: Home) -> HomeFacts:
    """Say where environments are kept, whether it can be written, and how much is free. Nothing is made."""
    nearest = next(folder for folder in (home.root, *home.root.parents) if folder.exists())
    try:
        free_bytes = shutil.disk_usage(nearest).free
    except OSError:
        free_bytes = None
    return HomeFacts(
        path=str(home.root),
        exists=home.root.is_dir(),
        writable=nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK),
        free_bytes=free_bytes,
        environments=len(list_environments(home)),
    )


def interpreter_facts(home: Home) -> tuple[InterpreterFacts, ...]:
    """Return the interpreters that environments can be made of."""
    return tuple(
        InterpreterFacts(path=str(found.path), version=found.version, implementation=found.implementation)
        for found in find_interpreters(home)
    )


def unusable_accelerators(
    found: Accelerators, usable: Sequence[Usable], platform: Platform
) -> tuple[AcceleratorFacts, ...]:
    """Return the builds of torch that do not run here, each with why not."""
    here = {item.accelerator for item in usable}
    return tuple(
        AcceleratorFacts(
            accelerator=build,
            why=why_not(build, found, platform) or "it does not run on all devices that are here",
        )
        for build in KNOWN_BUILDS
        if build not in here
    )


def runtime_targets(usable: Sequence[Usable], platform: Platform) -> Iterator[RuntimeTarget]:
    """Yield what each runtime would use here."""
    runtimes_dir = data_dir("runtimes")
    for runtime_id in known_runtimes(runtimes_dir):
        try:
            recipe = load_runtime(runtimes_dir, runtime_id).recipe
        except StemsepEnvError as error:
            yield RuntimeTarget(runtime=runtime_id, target=None, why=error.message)
            continue
        chosen = choose_target(merge(recipe, runtime_demands(recipe)), usable, platform=platform)
        yield RuntimeTarget(runtime=runtime_id, target=chosen.target, why=chosen.why)


def level_facts(home: Home) -> tuple[LevelFacts, ...]:
    """Return each sandbox level with what was measured of it on this host."""
    return tuple(
        LevelFacts(
            level=name,
            available=found.available,
            axes={str(axis): str(state) for axis, state in found.axes.items()},
            reason=found.reason,
            remedy=found.remedy,
        )
        for name, found in measured(levels_here(), home.cache_dir).items()
    )


def model_count() -> int | None:
    """Return how many models the registry in use has; None when it cannot be read."""
    try:
        return len(catalogue_at(None).ids())
    except StemsepEnvError:
        return None


def uv_version() -> str | None:
    """Return the version of uv; None when it is not here."""
    try:
        return uv.version()
    except (StemsepEnvError, OSError):
        return None
