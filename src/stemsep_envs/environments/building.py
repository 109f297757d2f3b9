"""Building an environment: beside its final place, checked, its receipt written last, published by one rename."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from stemsep_envs._version import __version__
from stemsep_envs.documents.environment import BaseInterpreter, Builder, EnvironmentInputs, Package, Receipt
from stemsep_envs.documents.lock import Lock
from stemsep_envs.environments import installing, linking, store, uv
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
    """

    title: str
    inputs: EnvironmentInputs
    interpreter: Interpreter
    lock: Lock
    lock_path: Path
    health_imports: tuple[str, ...]
    built_for: tuple[str, ...]


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
    link = linking.choose_link_mode(files.ensure_dir(uv.cache_dir(home)), staging)
    with watch.step("create"):
        report("create", f"Python {job.interpreter.version}")
        installing.create(staging, job.interpreter.path, home=home, what=job.title)
    with watch.step("install"):
        report("install", f"{len(job.lock.pins)} packages")
        installing.install(staging, job.lock, link.mode, home=home, offline=offline, what=job.title)
    with watch.step("check"):
        report("check", ", ".join(job.health_imports))
        checked = check_health(staging, job.health_imports, home=home, what=job.title)
        _refuse_other_interpreter(job, checked.python_version)
        packages = _installed(staging / "venv", job)
        size = linking.measure(staging)
    builder = Builder(
        name="uv", version=uv.version(), link_mode=linking.mode_found(link.mode, size), link_reason=link.why
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
        builder=builder,
        health=checked.report,
        size=size,
        steps_seconds=dict(watch.seconds),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        created_by=f"stemsep-envs {__version__}",
    )
    files.write_atomic(staging / store.RECEIPT, receipt.model_dump_json(indent=1).encode() + b"\n")
    return receipt


def _repeatable(job: BuildJob, steps: Collection[str], *, home: Home, offline: bool) -> str:
    """Return a shell line that goes through the steps of a failed build again, in a folder of the user's.

    The staging folder is gone when the user reads it.
    """
    folder = Path("repeated")
    commands = [uv.uv_command(installing.create_arguments(folder, job.interpreter.path), home=home, offline=False)]
    if "install" in steps:
        mode = linking.choose_link_mode(uv.cache_dir(home), home.environments_dir).mode
        arguments = installing.install_arguments(folder, job.lock, job.lock_path, mode)
        commands.append(uv.uv_command(arguments, home=home, offline=offline))
    if "check" in steps:
        commands.append(import_command(store.python_path(folder), job.health_imports, folder))
        commands.append(uv.uv_command(check_arguments(store.python_path(folder)), home=home, offline=True))
    return " && ".join(command.shown() for command in commands)


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
