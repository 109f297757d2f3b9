"""Building an environment: beside its final place, checked, its receipt written last, published by one rename."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from stemsep_envs._version import __version__
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
from stemsep_envs.environments import linking, sealing, store, torch_index, uv, wheels
from stemsep_envs.environments.builders import TOOLS
from stemsep_envs.environments.builders.installation import Installation
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.health import check_arguments, check_health, import_command
from stemsep_envs.errors import BuildError
from stemsep_envs.host import files
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.paths import Home

Report = Callable[[str, str], None]
"""Told of each step as it begins: a word for the step, and the detail in words."""


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
        confine: Confines the health check.
        accepted: Files that are not what their RECORD says, and were no other when they were fetched anew.
    """

    title: str
    inputs: EnvironmentInputs
    interpreter: Interpreter
    lock: Lock
    lock_path: Path
    health_imports: tuple[str, ...]
    built_for: tuple[str, ...]
    builder: BuilderName = "uv"
    source_reasons: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[Deviation] = frozenset()
    confine: Confine | None = None


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
    staging = home.environments_dir / f"{store.BUILDING}{digest[:16]}-{secrets.token_hex(4)}"
    files.ensure_dir(staging)
    try:
        receipt = _fill(staging, job, home=home, offline=offline, watch=watch, report=report)
        store.remove(home, digest)  # a broken one, which nobody can use
        with watch.step("publish"):
            files.publish(staging, store.environment_dir(home, digest))
    except BuildError as error:
        error.command = _repeatable(job, watch.seconds, home=home, offline=offline)
        raise
    finally:
        files.remove_tree(staging)
    return receipt


def _fill(staging: Path, job: BuildJob, *, home: Home, offline: bool, watch: Stopwatch, report: Report) -> Receipt:
    """Build in the staging folder, to the receipt."""
    files.write_atomic(staging / store.LOCK, job.lock.text().encode())
    tool = TOOLS[job.builder]
    link = _link_choice(job, files.ensure_dir(uv.cache_dir(home)), staging)
    installation = _installation(job, staging, staging / store.LOCK, link.mode, home=home, offline=offline)
    with watch.step("create"):
        report("create", f"Python {job.interpreter.version}")
        tool.create(installation, home=home)
    seal_in_making = _begin_seal(staging, job, home=home)
    from_source = {pin.name: job.source_reasons[pin.name] for pin in job.lock.pins if pin.name in job.source_reasons}
    with watch.step("install"):
        notes = "".join(f"; {name} from its source, if need be: {why}" for name, why in from_source.items())
        report("install", f"{len(job.lock.pins)} packages{notes}")
        tool.install(installation, home=home)
    with watch.step("check"), seal_in_making.hashing_beside():
        report("check", ", ".join(job.health_imports))
        checked = check_health(
            staging,
            job.health_imports,
            home=home,
            what=job.title,
            excluded=job.lock.inputs.excluded,
            confine=job.confine,
        )
        _refuse_other_interpreter(job, checked.python_version)
        packages = _installed(staging / "venv", job)
    with watch.step("seal"), files.keeping_on_disk(staging):  # before there is a receipt that vouches for it
        seal = seal_in_making.finish()
        wheels.remember(home, job.inputs, job.lock, contents=seal.contents, deviations=seal.manifest.deviations)
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
        source_distributions=from_source,
        builder=builder,
        health=checked.report,
        size=seal.size,
        manifest=seal.manifest_digest,
        steps_seconds=dict(watch.seconds),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        created_by=f"stemsep-envs {__version__}",
    )
    files.write_atomic(staging / store.RECEIPT, receipt.model_dump_json(indent=1).encode() + b"\n")
    return receipt


def _begin_seal(staging: Path, job: BuildJob, *, home: Home) -> sealing.Sealing:
    """Begin to seal: what will be installed is compared with what its wheels hold, and held before."""
    known = wheels.recall(home, job.inputs, job.lock)
    # What is built here from source is another file each time.
    contents = {name: digest for name, digest in known.contents.items() if name not in job.source_reasons}
    return sealing.begin(staging, known_contents=contents, accepted=known.deviations | job.accepted)


def _repeatable(job: BuildJob, steps: Collection[str], *, home: Home, offline: bool) -> str:
    """Return a shell line that goes through the steps of a failed build again, in a folder of the user's.

    The staging folder is gone when the user reads it.
    """
    folder = Path("repeated")
    mode = _link_choice(job, uv.cache_dir(home), home.environments_dir).mode
    installation = _installation(job, folder, job.lock_path, mode, home=home, offline=offline)
    commands = list(TOOLS[job.builder].commands(installation, home=home)[: 2 if "install" in steps else 1])
    if "check" in steps:
        commands.append(import_command(store.python_path(folder), job.health_imports, folder))
        commands.append(uv.uv_command(check_arguments(store.python_path(folder)), home=home, offline=True))
    return " && ".join(command.shown() for command in commands)


def _installation(
    job: BuildJob, folder: Path, lock_path: Path, mode: LinkMode, *, home: Home, offline: bool
) -> Installation:
    place = torch_index.place_of(job.lock, home=home)
    return Installation(folder, job.interpreter.path, job.lock, lock_path, place, mode, job.title, offline)


def _link_choice(job: BuildJob, cache: Path, environments: Path) -> linking.LinkChoice:
    if job.builder == "pip":
        return linking.LinkChoice("copy", "pip unpacks every file anew")
    return linking.choose_link_mode(cache, environments)


def _refuse_other_interpreter(job: BuildJob, version: str) -> None:
    if version != job.interpreter.version:
        raise BuildError(
            f"{job.interpreter.path} is Python {version} inside the environment and {job.interpreter.version} outside",
            hint="an upgrade was under way; try again",
            code="interpreter_changed",
        )


def _installed(venv: Path, job: BuildJob) -> tuple[Package, ...]:
    """Return the distributions that are there, and refuse when they are not those of the lock."""
    library = "Lib" if os.name == "nt" else f"lib/python{job.interpreter.minor}"
    found = set()
    for entry in (venv / library / "site-packages").glob("*.dist-info"):
        name, _, version = entry.name.removesuffix(".dist-info").partition("-")
        found.add((str(canonicalize_name(name)), Version(version)))
    locked = {(pin.name, Version(pin.version)) for pin in job.lock.pins}
    if found != locked:
        missing = ", ".join(f"{name} {version}" for name, version in sorted(locked - found)) or "nothing"
        extra = ", ".join(f"{name} {version}" for name, version in sorted(found - locked)) or "nothing"
        words = f"the environment of {job.title} is not what is locked: {missing} is missing, {extra} is too much"
        raise BuildError(words, code="incomplete")
    return tuple(Package(name=name, version=str(version)) for name, version in sorted(found))
