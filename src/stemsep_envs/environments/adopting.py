"""Adopting an interpreter that is there (a module of a cluster, a preinstalled image) in place of building.

What is stored is a small environment of our own whose one file of note, a ``.pth``, leads to the adopted one's
distributions: so it is listed, used, confined, verified and removed as any other, and nothing is written into the
adopted one. Its receipt says what was found there, and where that is not what the lock says. A note, found by the
digest of the question, makes plans use it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from stemsep_envs._version import __version__
from stemsep_envs.documents.environment import (
    Adopted,
    BaseInterpreter,
    Builder,
    EnvironmentInputs,
    HealthReport,
    InterpreterIdentity,
    Package,
    Receipt,
)
from stemsep_envs.documents.link_modes import UNSHARED
from stemsep_envs.documents.lock import Lock, LockInputs
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.environments import environment_store, sealing
from stemsep_envs.environments.adopted import note_path, probe
from stemsep_envs.environments.builders import with_pip
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.consistency import contradictions, installed_in
from stemsep_envs.environments.health import import_all, import_confined
from stemsep_envs.environments.satisfying import differences, unsatisfied
from stemsep_envs.errors import BlockedError
from stemsep_envs.host import digest_store
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.interpreter_files import parts_of
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.paths import Home
from stemsep_envs.host.scratch_dirs import scratch_dir

_PTH = "adopted.pth"


@dataclass(frozen=True)
class Adoption:
    """What is to be adopted, and for what.

    Attributes:
        python: The interpreter as the user names it.
        interpreter: The one behind it.
        inputs: The question that a lock would answer.
        requirements: What must be met.
        lock: The lock to compare with, where there is one.
        health_imports: Modules that must import.
        engine_digest: The engine's source tree, when the runtime has one.
        title: What it is for, in words.
        confine: Confines the imports of the check; None runs them as this program runs.
    """

    python: Path
    interpreter: Interpreter
    inputs: LockInputs
    requirements: Requirements
    lock: Lock | None
    health_imports: tuple[str, ...]
    engine_digest: str | None
    title: str
    confine: Confine | None = None


def adopt(adoption: Adoption, *, home: Home) -> Receipt:
    """Check an interpreter against what a model needs, and use it from now on for all that need the same.

    Raises:
        BlockedError: It does not meet the requirements; carries every reason.
        BuildError: A module does not import.
        UsageError: It cannot be asked, or the home cannot be written.
    """
    found = probe(adoption.python)
    versions = {package.name: package.version for package in found.packages}
    reasons = unsatisfied(versions, adoption.requirements, adoption.inputs, adoption.interpreter.version)
    if reasons:
        raise BlockedError(f"{adoption.python} cannot serve {adoption.title}", reasons)
    consistent = _is_consistent(found, adoption.interpreter)
    words = differences(versions, adoption.inputs, adoption.lock)
    if not consistent:
        words = (*words, "its own distributions contradict one another (`pip check` says how)")
    adopted = found.model_copy(update={"differences": words})
    inputs = EnvironmentInputs(
        target=adoption.inputs.target,
        interpreter=InterpreterIdentity(
            implementation=adoption.interpreter.implementation,
            version=adoption.interpreter.version,
            soabi=adoption.interpreter.soabi,
        ),
        lock=adoption.lock.digest if adoption.lock is not None else adoption.inputs.digest,
        engine=adoption.engine_digest,
        adopted=adopted.digest,
    )
    with digest_store.hold(environment_store.store_of(home), inputs.digest):
        receipt = _publish(adoption, adopted, inputs, consistent=consistent, home=home)
    write_atomic(note_path(adoption.inputs, home), f"{inputs.digest}\n".encode())
    return receipt


def _publish(
    adoption: Adoption, adopted: Adopted, inputs: EnvironmentInputs, *, consistent: bool, home: Home
) -> Receipt:
    store, digest, began = environment_store.store_of(home), inputs.digest, time.perf_counter()
    with digest_store.staging_dir(store, digest) as staging:
        with_pip.make_venv(adoption.interpreter.path, staging / "venv", home=home, what=adoption.title)
        _lead_to(adopted, staging / "venv")
        seal = sealing.begin(staging, known_contents={}, accepted=frozenset())
        with seal.hashing_beside(), scratch_dir(staging, "health-") as scratch:
            seconds = _imported(adoption, adopted, staging, scratch)
        sealed = seal.finish()
        receipt = Receipt(
            digest=digest,
            inputs=inputs,
            lock_inputs=adoption.inputs.digest,
            built_for=tuple(map(str, adoption.requirements.parties)),
            base_interpreter=BaseInterpreter(
                path=str(adoption.interpreter.path),
                size_bytes=adoption.interpreter.size_bytes,
                mtime_us=adoption.interpreter.mtime_ns // 1000,
            ),
            packages=tuple(Package(name=item.name, version=item.version) for item in adopted.packages),
            builder=Builder(
                name="adopted", version=__version__, link_mode=UNSHARED, link_reason="nothing was installed"
            ),
            adopted=adopted,
            health=HealthReport(
                imports=seconds,
                dependencies_consistent=consistent,
                confined_by=None if adoption.confine is None else adoption.confine.level,
            ),
            size=sealed.size,
            manifest=sealed.manifest_digest,
            steps_seconds={"adopt": round(time.perf_counter() - began, 4)},
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            created_by=f"stemsep-envs {__version__}",
        )
        write_atomic(staging / environment_store.RECEIPT, receipt.model_dump_json(indent=1).encode() + b"\n")
        digest_store.publish(store, digest, staging)
    return receipt


def _lead_to(adopted: Adopted, venv: Path) -> None:
    """Make an empty environment see the distributions of the adopted one, with what their own ``.pth`` files add."""
    lines = [f"import site; site.addsitedir({folder!r})" for folder in adopted.site_dirs]
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    for folder in venv.glob(pattern):
        write_atomic(folder / _PTH, "".join(f"{line}\n" for line in lines).encode())


def _imported(adoption: Adoption, adopted: Adopted, staging: Path, scratch: Path) -> Mapping[str, float]:
    """Import the modules; return the seconds each took. No bytecode is left: what is adopted stays as it is."""
    python = environment_store.python_path(staging)
    if adoption.confine is None:
        return import_all(python, adoption.health_imports, scratch, adoption.title, bytecode=False).imports
    readable = (staging, *parts_of(Path(adopted.prefix)), *map(Path, adopted.site_dirs))
    return import_confined(
        python, adoption.health_imports, scratch, adoption.title, adoption.confine, readable=readable
    ).imports


def _is_consistent(adopted: Adopted, interpreter: Interpreter) -> bool:
    installed = installed_in(map(Path, adopted.site_dirs))
    return not contradictions(installed, implementation=interpreter.implementation, python=interpreter.version)
