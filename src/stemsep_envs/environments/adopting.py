"""Adopting an interpreter that is there (a module of a cluster, a preinstalled image) in place of building.

What is stored is a small environment of our own whose one file of note, a ``.pth``, leads to the adopted one's
distributions: so it is listed, used, confined, verified and removed as any other, and nothing is written into the
adopted one. Its receipt says what was found there, and where that is not what the lock says. A note, found by the
digest of the question, makes plans use it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from packaging.utils import canonicalize_name

from stemsep_envs._version import __version__
from stemsep_envs.documents.environment import (
    Adopted,
    AdoptedPackage,
    BaseInterpreter,
    Builder,
    EnvironmentInputs,
    HealthReport,
    InterpreterIdentity,
    Package,
    Receipt,
)
from stemsep_envs.documents.lock import Lock, LockInputs
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.environments import sealing, store, uv
from stemsep_envs.environments.health import check_arguments, import_all
from stemsep_envs.environments.satisfying import differences, unsatisfied
from stemsep_envs.errors import BlockedError, BuildError, Reason, StemsepEnvError, UsageError
from stemsep_envs.host import files, locks
from stemsep_envs.host.interpreters import Interpreter
from stemsep_envs.host.paths import Home
from stemsep_envs.host.processes import Command, run

_PROBE_SECONDS = 120.0
_CHECK_SECONDS = 120.0
_PTH = "adopted.pth"

_PROBE = """
import hashlib, importlib.metadata, json, os, sys
dirs = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
packages = []
for found in importlib.metadata.distributions(path=dirs):
    name = found.metadata["Name"]
    text = found.read_text("RECORD") or found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    if name:
        packages.append([name, found.version, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()])
print(json.dumps({"prefix": sys.prefix, "site_dirs": dirs, "packages": packages}))
"""


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
    """

    python: Path
    interpreter: Interpreter
    inputs: LockInputs
    requirements: Requirements
    lock: Lock | None
    health_imports: tuple[str, ...]
    engine_digest: str | None
    title: str


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
    consistent = _is_consistent(adoption.python, home=home)
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
    files.ensure_dir(home.environments_dir)
    with locks.hold(store.hold_path(home, inputs.digest)):
        receipt = _publish(adoption, adopted, inputs, consistent=consistent, home=home)
    files.write_atomic(_note_path(adoption.inputs, home), f"{inputs.digest}\n".encode())
    return receipt


def probe(python: Path) -> Adopted:
    """Return what an interpreter holds; nothing is written there.

    Raises:
        UsageError: It does not answer.
    """
    env = {name: os.environ[name] for name in ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = run(Command((str(python), "-I", "-B", "-c", _PROBE), env, python.parent), timeout_seconds=_PROBE_SECONDS)
    try:
        answer = json.loads(done.stdout if done.status == 0 else "null") or {}
        packages = {
            str(canonicalize_name(name)): AdoptedPackage(
                name=canonicalize_name(name), version=version, record_sha256=digest
            )
            for name, version, digest in reversed(answer["packages"])  # the first on the path is the one that imports
        }
        return Adopted(
            python=str(python),
            prefix=answer["prefix"],
            site_dirs=tuple(answer["site_dirs"]),
            packages=tuple(packages[name] for name in sorted(packages)),
            differences=(),
        )
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{python} does not say what it holds: {done.stderr.strip()[-300:]}") from None


def changes_since(adopted: Adopted) -> tuple[str, ...]:
    """Say in words what is not as it was when an interpreter was adopted, as far as its receipt states it."""
    try:
        now = probe(Path(adopted.python))
    except StemsepEnvError as error:
        return (error.message,)
    then = {package.name: package for package in adopted.packages}
    here = {package.name: package for package in now.packages}
    words = [f"{name} {then[name].version} is gone" for name in sorted(then.keys() - here.keys())]
    words += [f"{name} {here[name].version} is new" for name in sorted(here.keys() - then.keys())]
    for name in sorted(then.keys() & here.keys()):
        if then[name].version != here[name].version:
            words.append(f"{name} is {here[name].version} and was {then[name].version}")
        elif then[name] != here[name]:
            words.append(f"{name} {then[name].version} was installed anew, with other files")
    return tuple(words)


def find_adopted(
    inputs: LockInputs, engine_digest: str | None, home: Home
) -> tuple[Receipt | None, tuple[Reason, ...]]:
    """Return the receipt of what was adopted for a question, or why that can no longer be used.

    Both are empty when nothing is adopted. What is not as it was adopted is refused: nothing else is taken in its
    place silently.
    """
    try:
        digest = _note_path(inputs, home).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None, ()
    folder = store.environment_dir(home, digest)
    if not digest or not folder.is_dir():
        return None, ()  # it was removed
    problem = store.problem_with(home, digest)
    try:
        receipt = store.read_any_receipt(home, digest)
    except StemsepEnvError as error:
        return None, (_changed("it", digest, error.message),)
    if receipt.adopted is None:
        return None, ()
    if problem is None and receipt.inputs.engine != engine_digest:
        problem = "it was checked with another engine"
    if problem is None and _touched_since(receipt.adopted, folder / store.RECEIPT):
        problem = "; ".join(changes_since(receipt.adopted)) or None
    if problem is not None:
        return None, (_changed(receipt.adopted.python, digest, problem),)
    return receipt, ()


def _changed(what: str, digest: str, problem: str) -> Reason:
    return Reason(
        "adopted_changed",
        f"{what} was adopted and is not what it was: {problem}",
        hint=f"adopt it again, or `stemsep-env env remove {digest[:12]}` to have an environment built instead",
    )


def notes_dir(home: Home) -> Path:
    """Return the folder of notes that say what was adopted for which question."""
    return home.root / "adopted"


def _note_path(inputs: LockInputs, home: Home) -> Path:
    return notes_dir(home) / inputs.digest


def _touched_since(adopted: Adopted, receipt: Path) -> bool:
    """Say whether a distribution may have come or gone since: then its folder's time of change is later."""
    try:
        written = receipt.stat().st_mtime_ns
        return any(Path(folder).stat().st_mtime_ns > written for folder in adopted.site_dirs)
    except OSError:
        return True


def _publish(
    adoption: Adoption, adopted: Adopted, inputs: EnvironmentInputs, *, consistent: bool, home: Home
) -> Receipt:
    digest, began = inputs.digest, time.perf_counter()
    staging = home.environments_dir / f"{store.BUILDING}{digest[:16]}-{secrets.token_hex(4)}"
    files.ensure_dir(staging)
    try:
        uv.call_uv(
            (
                *("venv", "--quiet", "--relocatable", "--no-project"),
                *("--python", str(adoption.interpreter.path), str(staging / "venv")),
            ),
            home=home,
            what=f"making the environment of {adoption.title}",
            offline=False,
            timeout_seconds=_CHECK_SECONDS,
        )
        _lead_to(adopted, staging / "venv")
        seal = sealing.begin(staging, known_contents={}, accepted=frozenset())
        with seal.hashing_beside(), files.scratch_dir(staging, "health-") as scratch:
            answer = import_all(
                store.python_path(staging), adoption.health_imports, scratch, adoption.title, bytecode=False
            )
        sealed = seal.finish()
        receipt = Receipt(
            digest=digest,
            inputs=inputs,
            lock_inputs=adoption.inputs.digest,
            built_for=adoption.requirements.parties,
            base_interpreter=BaseInterpreter(
                path=str(adoption.interpreter.path),
                size_bytes=adoption.interpreter.size_bytes,
                mtime_us=adoption.interpreter.mtime_ns // 1000,
            ),
            packages=tuple(Package(name=item.name, version=item.version) for item in adopted.packages),
            builder=Builder(name="adopted", version=__version__, link_mode="copy", link_reason="nothing was installed"),
            adopted=adopted,
            health=HealthReport(
                imports={str(name): float(str(value)) for name, value in dict(answer["imports"]).items()},
                dependencies_consistent=consistent,
            ),
            size=sealed.size,
            manifest=sealed.manifest_digest,
            steps_seconds={"adopt": round(time.perf_counter() - began, 4)},
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            created_by=f"stemsep-envs {__version__}",
        )
        files.write_atomic(staging / store.RECEIPT, receipt.model_dump_json(indent=1).encode() + b"\n")
        store.remove(home, digest)
        files.publish(staging, store.environment_dir(home, digest))
    finally:
        files.remove_tree(staging)
    return receipt


def _lead_to(adopted: Adopted, venv: Path) -> None:
    """Make an empty environment see the distributions of the adopted one, with what their own ``.pth`` files add."""
    lines = [f"import site; site.addsitedir({folder!r})" for folder in adopted.site_dirs]
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    for folder in venv.glob(pattern):
        files.write_atomic(folder / _PTH, "".join(f"{line}\n" for line in lines).encode())


def _is_consistent(python: Path, *, home: Home) -> bool:
    try:
        uv.call_uv(
            check_arguments(python),
            home=home,
            what=f"the dependency check of {python}",
            offline=True,
            timeout_seconds=_CHECK_SECONDS,
        )
    except BuildError:
        return False
    return True
