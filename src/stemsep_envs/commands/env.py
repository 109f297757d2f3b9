"""`env`: list, show, verify, repair and remove the environments of this home, and free what nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from stemsep_envs.documents.environment_reports import (
    EnvironmentDetails,
    RepairedEnvironment,
    RepairReport,
    VerifiedEnvironment,
    VerifyReport,
)
from stemsep_envs.documents.events import Event, OnEvent
from stemsep_envs.environments import repairing, verifying
from stemsep_envs.environments.environment_store import Stored, find_environments, list_environments, read_receipt
from stemsep_envs.errors import BlockedError, StemsepEnvError, UsageError
from stemsep_envs.host.paths import find_home
from stemsep_envs.provisioning.build_confinement import BuildConfinement


def environment_details(prefix: str) -> EnvironmentDetails:
    """Return one environment with its receipt.

    Args:
        prefix: Its digest, or enough of the beginning to name one.

    Raises:
        UsageError: None or several begin so, or its receipt is gone.
    """
    stored = named_environment(prefix)
    return EnvironmentDetails(
        dir=str(stored.dir),
        state="broken" if stored.problem else "whole",
        problem=stored.problem,
        last_used=utc_text(stored.last_used_at),
        live_uses=stored.live_uses,
        receipt=stored.receipt or read_receipt(find_home(), stored.digest),
    )


def named_environment(prefix: str) -> Stored:
    """Return the one environment whose digest begins with ``prefix``.

    Raises:
        UsageError: None or several do.
    """
    found = find_environments(find_home(), prefix)
    if len(found) == 1:
        return found[0]
    if not found:
        hint = "`stemsep-env env list` names them all"
        raise UsageError(f"there is no environment {prefix}", hint=hint, code="unknown_environment")
    several = ", ".join(item.digest[:16] for item in found[:5])
    raise UsageError(f"{len(found)} environments begin with {prefix}: {several}", hint="write more of it")


def named_environments(prefixes: Sequence[str]) -> tuple[Stored, ...]:
    """Return the environments that are named, each once; raises as `named_environment` does."""
    named = {stored.digest: stored for stored in map(named_environment, prefixes)}
    return tuple(named.values())


def verify_environments(prefixes: Sequence[str], *, quick: bool, on_event: OnEvent) -> VerifyReport:
    """Compare environments with what was built: those that are named, or all.

    Raises:
        UsageError: One that is named does not exist.
    """
    stored = named_environments(prefixes) if prefixes else list_environments(find_home())
    verified = tuple(_verified(item, quick=quick, on_event=on_event) for item in stored)
    return VerifyReport(ok=all(item.ok for item in verified), quick=quick, environments=verified)


def repair_environments(prefixes: Sequence[str], *, offline: bool, on_event: OnEvent) -> RepairReport:
    """Verify environments, those that are named or all, and build anew what is not as it was built.

    One that cannot be repaired does not keep the others from it.

    Raises:
        UsageError: One that is named does not exist.
    """
    stored = named_environments(prefixes) if prefixes else list_environments(find_home())
    repaired = tuple(_repaired(item, offline=offline, on_event=on_event) for item in stored)
    return RepairReport(ok=all(item.action != "failed" for item in repaired), environments=repaired)


def utc_text(seconds: float | None) -> str | None:
    """Write a time as documents do, or None for none."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _verified(stored: Stored, *, quick: bool, on_event: OnEvent) -> VerifiedEnvironment:
    on_event(Event(event="step", step="verify", message=f"verifying {stored.digest[:12]}"))
    found = verifying.verify(find_home(), stored.digest, quick=quick)
    return VerifiedEnvironment(
        digest=stored.digest,
        ok=not found.differences,
        differences=found.differences,
        files=found.files,
        hashed_bytes=found.hashed_bytes,
        seconds=round(found.seconds, 3),
    )


def _repaired(stored: Stored, *, offline: bool, on_event: OnEvent) -> RepairedEnvironment:
    verified = _verified(stored, quick=False, on_event=on_event)
    if verified.ok:
        return RepairedEnvironment(digest=stored.digest, action="none", detail="as it was built", differences=())

    def report(step: str, detail: str) -> None:
        on_event(Event(event="step", step=step, message=detail))

    on_event(Event(event="step", step="repair", message=f"repairing {stored.digest[:12]}"))
    home = find_home()
    try:
        confine = BuildConfinement(home)
        done = repairing.repair(home, stored.digest, offline=offline, report=report, confine=confine)
    except BlockedError:
        raise
    except StemsepEnvError as error:
        words = error.message if error.hint is None else f"{error.message}; {error.hint}"
        return RepairedEnvironment(
            digest=stored.digest, action="failed", detail=words, differences=verified.differences
        )
    if done.receipt is None:
        detail = f"{done.removed_because}; the next `ensure` builds it"
        return RepairedEnvironment(
            digest=stored.digest, action="removed", detail=detail, differences=verified.differences
        )
    return RepairedEnvironment(
        digest=stored.digest, action="rebuilt", detail="built from clean files", differences=verified.differences
    )
