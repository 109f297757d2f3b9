"""Building an environment: beside its final place, checked, its receipt written last, published by one rename."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from packaging.utils import canonicalize_name
from packaging.version import Version

from stemsep_envs._version import __version__
from stemsep_envs.documents.builders import DEFAULT_BUILDER
from stemsep_envs.documents.environment import (
    BaseInterpreter,
    Builder,
    BuilderName,
    EnvironmentInputs,
    LinkMode,
    Package,
    Receipt,
)
from stemsep_envs.documents.environment_manifest import Deviation
from stemsep_envs.documents.lock import Lock
from stemsep_envs.environments import environment_store, linking, sealing, torch_index, uv, wheel_contents
from stemsep_envs.environments.builders import TOOLS
from stemsep_envs.environments.builders.installation import Installation
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.health import check_health, import_command
from stemsep_envs.environments.reporting import Report
from stemsep_envs.errors import BuildError
from stemsep_envs.host import digest_store
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.fsync import keeping_on_disk
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.paths import Home

if TYPE_CHECKING:
    from stemsep_envs.environments.sources.building import BuiltWheel


@dataclass(frozen=True)
class BuildJob:
    """All that a build needs.

    Attributes:
        title: What is built, in words.
        inputs: What goes in; their digest is the environment's name.
        interpreter: The interpreter of this machine that they name.
        lock: The lock that they name.
        lock_path: Its file.
        health_imports: Modules that must import.
        built_for: The parties that asked.
        builder: What builds it.
        source_reasons: Distributions that may be built from source, each with the reason.
        confine: Confines the health check, and builds from source, which are refused without.
        accepted: Files that are not what their RECORD says, and were no other when they were fetched anew.
    """

    title: str
    inputs: EnvironmentInputs
    interpreter: Interpreter
    lock: Lock
    lock_path: Path
    health_imports: tuple[str, ...]
    built_for: tuple[str, ...]
    builder: BuilderName = DEFAULT_BUILDER
    source_reasons: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[Deviation] = frozenset()
    confine: Confine | None = None


_Built: TypeAlias = "Mapping[str, BuiltWheel]"
"""Wheels that were built here, by distribution."""


@dataclass
class Stopwatch:
    """Seconds of each step, by its word."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, word: str) -> Iterator[None]:
        """Time a block as one step."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[word] = round(self.seconds.get(word, 0.0) + time.perf_counter() - began, 4)


def build(job: BuildJob, *, home: Home, offline: bool, watch: Stopwatch, report: Report) -> Receipt:
    """Build an environment and publish it. The caller holds the lock of its digest and found none there.

    Raises:
        BuildError: The builder or the health check failed; nothing is left.
        Deviating: What was installed is not what the wheels hold; nothing is left.
        LimitError: No space, or a deadline passed.
    """
    digest = job.inputs.digest
    built = _built(job, home=home, offline=offline, watch=watch, report=report)
    store = environment_store.store_of(home)
    try:
        with digest_store.staging_dir(store, digest) as staging:
            receipt = _fill(staging, job, built, home=home, offline=offline, watch=watch, report=report)
            with watch.step("publish"):
                digest_store.publish(store, digest, staging)
    except BuildError as error:
        error.command = _repeatable(job, built, watch.seconds, home=home, offline=offline)
        raise
    return receipt


def _built(job: BuildJob, *, home: Home, offline: bool, watch: Stopwatch, report: Report) -> _Built:
    """Have wheels of what comes as source; in its sandbox, before there is an environment."""
    if not _from_source(job):
        return {}
    if job.confine is None:
        raise ValueError(f"{job.title} may be built from source only where a sandbox is given")
    from stemsep_envs.environments.sources.build_environment import BuildContext  # noqa: PLC0415
    from stemsep_envs.environments.sources.building import build_sources  # noqa: PLC0415 - most have nothing to build

    with watch.step("build"):
        told = "; ".join(f"{name} from its source, if need be: {why}" for name, why in _from_source(job).items())
        report("build", told)
        context = BuildContext(job.interpreter, job.confine, home, offline, report, job.builder)
        return build_sources(job.lock, job.source_reasons, context)


def _from_source(job: BuildJob) -> dict[str, str]:
    """Return what of the lock may be built from source, each with its reason."""
    return {pin.name: job.source_reasons[pin.name] for pin in job.lock.pins if pin.name in job.source_reasons}


def _fill(
    staging: Path, job: BuildJob, built: _Built, *, home: Home, offline: bool, watch: Stopwatch, report: Report
) -> Receipt:
    """Build in the staging folder, to the receipt."""
    write_atomic(staging / environment_store.LOCK, job.lock.text().encode())
    tool = TOOLS[job.builder]
    link = linking.choose_for(job.builder, ensure_dir(uv.cache_dir(home)), staging)
    installation = _installation(
        job, staging, staging / environment_store.LOCK, link.mode, built, home=home, offline=offline
    )
    with watch.step("create"):
        report("create", f"Python {job.interpreter.version}")
        tool.create(installation, home=home)
    seal_in_making = _begin_seal(staging, job, home=home)
    with watch.step("install"):
        report("install", f"{len(job.lock.pins)} packages")
        tool.install(installation, home=home)
    with watch.step("check"), seal_in_making.hashing_beside():
        report("check", ", ".join(job.health_imports))
        checked = check_health(
            staging,
            job.health_imports,
            interpreter=job.interpreter,
            what=job.title,
            excluded=job.lock.inputs.excluded,
            confine=job.confine,
        )
        _refuse_other_interpreter(job, checked.python_version)
        packages = _installed(staging, job)
    with watch.step("seal"), keeping_on_disk(staging):  # before there is a receipt that vouches for it
        seal = seal_in_making.finish()
        wheel_contents.remember(home, job.inputs, job.lock, contents=seal.contents, deviations=seal.manifest.deviations)
    builder = Builder(
        name=job.builder,
        version=tool.version(job.interpreter.path, home=home),
        link_mode=linking.mode_found(link.mode, seal.size),
        link_reason=link.why,
    )
    receipt = Receipt(
        digest=job.inputs.digest,
        inputs=job.inputs,
        lock_inputs=job.lock.inputs.digest,
        built_for=job.built_for,
        base_interpreter=BaseInterpreter(
            path=str(job.interpreter.path),
            size_bytes=job.interpreter.size_bytes,
            mtime_us=job.interpreter.mtime_ns // 1000,
        ),
        packages=packages,
        source_distributions=_from_source(job),
        built_from_source={name: wheel.build for name, wheel in built.items()},
        builder=builder,
        health=checked.report,
        size=seal.size,
        manifest=seal.manifest_digest,
        steps_seconds=dict(watch.seconds),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        created_by=f"stemsep-envs {__version__}",
    )
    write_atomic(staging / environment_store.RECEIPT, receipt.model_dump_json(indent=1).encode() + b"\n")
    return receipt


def _begin_seal(staging: Path, job: BuildJob, *, home: Home) -> sealing.Sealing:
    """Begin to seal: what will be installed is compared with what its wheels hold, and held before."""
    known = wheel_contents.recall(home, job.inputs, job.lock)
    # What is built here from source is another file each time.
    contents = {name: digest for name, digest in known.contents.items() if name not in job.source_reasons}
    return sealing.begin(staging, known_contents=contents, accepted=known.deviations | job.accepted)


def _repeatable(job: BuildJob, built: _Built, steps: Collection[str], *, home: Home, offline: bool) -> str:
    """Return a shell line that goes through the steps of a failed build again, in a folder of the user's.

    The staging folder is gone when the user reads it.
    """
    folder = Path("repeated")
    mode = linking.choose_for(job.builder, uv.cache_dir(home), home.environments_dir).mode
    installation = _installation(job, folder, job.lock_path, mode, built, home=home, offline=offline)
    commands = list(TOOLS[job.builder].commands(installation, home=home)[: 2 if "install" in steps else 1])
    if "check" in steps:
        commands.append(import_command(environment_store.python_path(folder), job.health_imports, folder))
    return " && ".join(command.shown() for command in commands)


def _installation(
    job: BuildJob, folder: Path, lock_path: Path, mode: LinkMode, built: _Built, *, home: Home, offline: bool
) -> Installation:
    """Return what to install: the lock, or one that names the wheels that were built here in place of their sources."""
    lock = job.lock
    if built:
        from stemsep_envs.environments.sources.building import with_built  # noqa: PLC0415

        lock = with_built(job.lock, built)
        lock_path = _kept(home, lock)
    index = torch_index.torch_index_of(job.lock, home=home)
    folders = tuple(dict.fromkeys(wheel.path.parent for wheel in built.values()))
    return Installation(folder, job.interpreter.path, lock, lock_path, index, mode, job.title, offline, folders)


def _kept(home: Home, lock: Lock) -> Path:
    """Write what is installed to a file that stays, so that the command that names it can be repeated."""
    path = home.cache_dir / "installed" / f"{lock.digest[:32]}.txt"
    if not path.is_file():
        write_atomic(path, lock.body.encode())
    return path


def _refuse_other_interpreter(job: BuildJob, version: str) -> None:
    if version != job.interpreter.version:
        raise BuildError(
            f"{job.interpreter.path} is Python {version} inside the environment and {job.interpreter.version} outside",
            hint="an upgrade was under way; try again",
            code="interpreter_changed",
        )


def _installed(environment: Path, job: BuildJob) -> tuple[Package, ...]:
    """Return the distributions that are there, and refuse when they are not those of the lock."""
    found = set()
    for entry in (
        path for folder in environment_store.site_packages(environment) for path in folder.glob("*.dist-info")
    ):
        name, _, version = entry.name.removesuffix(".dist-info").partition("-")
        found.add((str(canonicalize_name(name)), Version(version)))
    locked = {(pin.name, Version(pin.version)) for pin in job.lock.pins}
    if found != locked:
        missing = ", ".join(f"{name} {version}" for name, version in sorted(locked - found)) or "nothing"
        extra = ", ".join(f"{name} {version}" for name, version in sorted(found - locked)) or "nothing"
        words = f"the environment of {job.title} is not what is locked: {missing} is missing, {extra} is too much"
        raise BuildError(words, code="incomplete")
    return tuple(Package(name=name, version=str(version)) for name, version in sorted(found))
