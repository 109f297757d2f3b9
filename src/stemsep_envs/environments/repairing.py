"""Building from clean files: what is not as its wheel holds it is fetched anew; and rebuilding what was damaged."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from stemsep_envs.documents.environment import Receipt
from stemsep_envs.documents.environment_manifest import Deviation
from stemsep_envs.documents.lock import parse_lock
from stemsep_envs.environments import environment_store, uv
from stemsep_envs.environments.building import BuildJob, Stopwatch, build
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.sealing import Deviating
from stemsep_envs.errors import BuildError, StemsepEnvError
from stemsep_envs.host import digest_store
from stemsep_envs.host.interpreters import Interpreter, find_interpreters
from stemsep_envs.host.paths import Home

_CLEAN_SECONDS = 600.0
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Repaired:
    """What `repair` did.

    Attributes:
        receipt: Of the new environment; None when it was removed instead.
        removed_because: Why it could not be rebuilt; None when it was.
    """

    receipt: Receipt | None
    removed_because: str | None = None


def build_clean(job: BuildJob, *, home: Home, offline: bool, watch: Stopwatch, report: Report) -> Receipt:
    """Build an environment; when the package cache was changed, fetch what was, and build again.

    A file that is the same after its wheel was fetched anew, and had the hash that is locked, is the wheel's own and
    accepted; it stands in the manifest. The caller holds the lock of the digest.

    Raises:
        BuildError: The builder or the health check failed; or the cache was changed, and it cannot be fetched anew.
        LimitError: No space, or a deadline passed.
    """
    try:
        return build(job, home=home, offline=offline, watch=watch, report=report)
    except Deviating as deviating:
        found = deviating.deviations
    names = _owners(found, job)
    if offline:
        raise BuildError(
            f"{job.title} cannot be built offline: {len(found)} files in the package cache were changed",
            hint=f"build it once with the network: {', '.join(names)} will be fetched anew",
            code="cache_poisoned",
            output=_shown(found),
        )
    with watch.step("refresh"):
        report("refresh", f"fetching {', '.join(names)} anew: the package cache was changed")
        uv.call_uv(
            ("cache", "clean", "--quiet", *names),
            home=home,
            what="removing changed packages from the cache",
            offline=False,
            timeout_seconds=_CLEAN_SECONDS,
        )
    try:
        return build(replace(job, accepted=frozenset(found)), home=home, offline=offline, watch=watch, report=report)
    except Deviating as deviating:
        raise BuildError(
            f"{job.title} cannot be built: installed files differ from their wheels, each time in another way",
            hint="something changes the package cache while it is built from; end it, and try again",
            code="cache_poisoned",
            output=_shown(deviating.deviations),
        ) from None


def repair(home: Home, digest: str, *, offline: bool, report: Report, confine: Confine | None = None) -> Repaired:
    """Rebuild an environment from what its receipt says. One whose receipt cannot be read is removed.

    Raises:
        BlockedError: A session uses it.
        BuildError: It cannot be rebuilt; what is there stays, and is not used.
    """
    watch = Stopwatch()
    with ExitStack() as held:
        lock = digest_store.hold(
            environment_store.store_of(home),
            digest,
            on_wait=lambda: report("wait", "another process is building, removing or starting to use this environment"),
        )
        held.enter_context(lock)
        environment_store.refuse_if_used(home, digest)
        try:
            job = replace(_job_of(home, digest), confine=confine)
        except StemsepEnvError as error:
            if isinstance(error, BuildError):
                raise
            environment_store.remove(home, digest)
            return Repaired(None, error.message)
        receipt = build_clean(job, home=home, offline=offline, watch=watch, report=report)
    environment_store.clear_leftovers(home)
    return Repaired(receipt)


def _job_of(home: Home, digest: str) -> BuildJob:
    """Return the job that builds an environment again.

    Raises:
        BuildError: Its interpreter is gone.
        StemsepEnvError: Its receipt or lock cannot be read.
    """
    folder = environment_store.environment_dir(home, digest)
    receipt = environment_store.read_any_receipt(home, digest)
    if receipt.adopted is not None or receipt.builder.name == "adopted":
        raise StemsepEnvError("it was adopted, not built: `stemsep-env env adopt` again")
    lock_path = folder / environment_store.LOCK
    try:
        lock = parse_lock(lock_path.read_bytes(), origin=str(lock_path))
    except OSError as error:
        raise StemsepEnvError(f"its lock cannot be read: {error.strerror}") from None
    if lock.digest != receipt.inputs.lock:
        raise StemsepEnvError("its lock is another than the one it was built from")
    return BuildJob(
        title=f"environment {digest[:12]}",
        inputs=receipt.inputs,
        interpreter=_same_interpreter(home, receipt),
        lock=lock,
        lock_path=lock_path,
        health_imports=tuple(receipt.health.imports),
        built_for=receipt.built_for,
        builder=receipt.builder.name,
        source_reasons=receipt.source_distributions,
    )


def _same_interpreter(home: Home, receipt: Receipt) -> Interpreter:
    wanted = receipt.inputs.interpreter
    same = [
        found
        for found in find_interpreters(home)
        if (found.implementation, found.version, found.soabi) == (wanted.implementation, wanted.version, wanted.soabi)
    ]
    if not same:
        raise BuildError(
            f"environment {receipt.digest[:12]} cannot be rebuilt: {wanted.implementation} {wanted.version} is gone",
            hint="remove it: with another Python it is another environment, which `ensure` builds",
            code="interpreter_changed",
        )
    return min(same, key=lambda found: found.path != Path(receipt.base_interpreter.path))


def _owners(deviations: Collection[Deviation], job: BuildJob) -> tuple[str, ...]:
    """Return the distributions to fetch anew: all, when a file belongs to none."""
    names = {deviation.distribution for deviation in deviations}
    if None in names:
        return tuple(pin.name for pin in job.lock.pins)
    return tuple(sorted(name for name in names if name))


def _shown(deviations: Collection[Deviation]) -> str:
    lines = [f"{deviation.kind}: {deviation.path}" for deviation in deviations]
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    return "\n".join(lines[:_MOST_SHOWN] + more)
