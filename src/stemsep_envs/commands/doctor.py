"""`doctor`: what this host offers, and what to do for more."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from stemsep_envs._version import __version__
from stemsep_envs.commands.registry import model_ids
from stemsep_envs.documents.accelerators import KNOWN_BUILDS
from stemsep_envs.documents.doctor_report import (
    AcceleratorFacts,
    DoctorReport,
    HomeFacts,
    InterpreterFacts,
    LevelFacts,
    RuntimeTarget,
)
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.target import Platform
from stemsep_envs.environments import uv
from stemsep_envs.environments.environment_store import list_environments
from stemsep_envs.environments.merging import merge, runtime_demands
from stemsep_envs.environments.targets import choose_target
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.accelerators import Usable, detect, usable_accelerators, why_not
from stemsep_envs.host.interpreters import find_interpreters
from stemsep_envs.host.machine import memory_bytes, this_machine
from stemsep_envs.host.paths import Home, data_dir, default_registry_path, find_home
from stemsep_envs.registry.recipes import known_runtimes, load_runtime
from stemsep_envs.sandbox.levels import candidates, measured
from stemsep_envs.sandbox.policy import Measurement
from stemsep_envs.separation.scratch import abandoned

_LITTLE_SPACE_BYTES = 5 << 30
"""A torch environment takes one to six GiB."""


def examine_host() -> DoctorReport:
    """Look at this host; nothing is changed but caches.

    Raises:
        BlockedError: Nothing can run on this platform.
    """
    home = find_home()
    home_facts = _home(home)  # first, since looking at the rest keeps what it finds there
    machine = this_machine()
    interpreters = tuple(
        InterpreterFacts(path=str(found.path), version=found.version, implementation=found.implementation)
        for found in find_interpreters(home)
    )
    found = detect()
    usable = usable_accelerators(found, machine.platform)
    here = {item.accelerator for item in usable}
    others = {build: why_not(build, found, machine.platform) for build in KNOWN_BUILDS if build not in here}
    measurements = measured(candidates("container"), home.cache_dir)
    levels = tuple(_level(name, measurements[name]) for name in measurements)
    return DoctorReport(
        version=__version__,
        python=platform.python_version(),
        platform=machine.platform,
        processor_count=os.cpu_count(),
        memory_bytes=memory_bytes(),
        home=home_facts,
        registry=str(default_registry_path()),
        registry_models=_model_count(),
        runtimes=known_runtimes(data_dir("runtimes")),
        accelerators=tuple(AcceleratorFacts(accelerator=item.accelerator, why=item.why) for item in usable),
        unusable=tuple(
            AcceleratorFacts(accelerator=build, why=why or "it does not run on all devices that are here")
            for build, why in others.items()
        ),
        targets=tuple(_targets(usable, machine.platform)),
        interpreters=interpreters,
        uv=_uv_version(),
        container_engine=shutil.which("docker") or shutil.which("podman"),
        sandbox=levels,
        advice=(*_advice(home_facts, interpreters, levels), *_leftovers(home)),
    )


def _level(name: str, found: Measurement) -> LevelFacts:
    return LevelFacts(
        level=name,
        available=found.available,
        axes={str(axis): str(state) for axis, state in found.axes.items()},
        reason=found.reason,
        remedy=found.remedy,
    )


def _home(home: Home) -> HomeFacts:
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


def _model_count() -> int | None:
    try:
        return len(model_ids(None))
    except StemsepEnvError:
        return None


def _uv_version() -> str | None:
    try:
        return uv.version()
    except (StemsepEnvError, OSError):
        return None


def _targets(usable: Sequence[Usable], platform: Platform) -> Iterator[RuntimeTarget]:
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


def _leftovers(home: Home) -> Iterator[Finding]:
    for path in abandoned(home):
        yield Finding(
            code="scratch_left",
            message=f"a session that was killed left {path}",
            hint="the next session removes it, and so does `stemsep-env env gc`",
        )


def _advice(
    home: HomeFacts, interpreters: Sequence[InterpreterFacts], levels: Sequence[LevelFacts]
) -> Iterator[Finding]:
    if not home.writable:
        yield Finding(
            code="home_not_writable",
            message=f"{home.path} cannot be written",
            hint="set STEMSEP_ENV_HOME to a folder that can be, or run as its owner",
        )
    if home.free_bytes is not None and home.free_bytes < _LITTLE_SPACE_BYTES:
        yield Finding(
            code="little_space",
            message=f"only {home.free_bytes >> 20} MiB are free where environments are kept",
            hint="free some space; an environment with torch takes 1 to 6 GiB",
        )
    if not interpreters:
        yield Finding(
            code="no_interpreter",
            message="no Python that environments can be made of was found",
            hint="one is installed on first use where the network allows it",
        )
    if not Path(default_registry_path()).is_file():
        yield Finding(
            code="registry_missing",
            message=f"there is no registry at {default_registry_path()}",
            hint="unset STEMSEP_ENV_REGISTRY to use the one that came with the program",
        )
    for level in levels:
        if not level.available and level.remedy:
            yield Finding(
                code="sandbox_level_missing",
                message=f"the sandbox level {level.level} is not available: {level.reason}",
                hint=level.remedy,
            )
