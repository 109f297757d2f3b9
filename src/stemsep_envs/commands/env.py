"""`env`: the environments of this home."""

from __future__ import annotations

from datetime import datetime, timezone

from stemsep_envs.documents.environment_reports import EnvironmentDetails, EnvironmentListing, ListedEnvironment
from stemsep_envs.environments.store import Stored, find_environments, list_environments, read_receipt
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import find_home


def environment_listing() -> EnvironmentListing:
    """List all environments, whole and broken, last used first."""
    home = find_home()
    return EnvironmentListing(home=str(home.root), environments=tuple(map(_listed, list_environments(home))))


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
        last_used=_time(stored.last_used_at),
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


def _listed(stored: Stored) -> ListedEnvironment:
    receipt = stored.receipt
    return ListedEnvironment(
        digest=stored.digest,
        state="broken" if stored.problem else "whole",
        problem=stored.problem,
        built_for=receipt.built_for if receipt else (),
        target=receipt.inputs.target if receipt else None,
        python=receipt.inputs.interpreter.version if receipt else None,
        size_bytes=receipt.size.bytes if receipt else None,
        shared_bytes=receipt.size.shared_bytes if receipt else None,
        created_at=receipt.created_at if receipt else None,
        last_used=_time(stored.last_used_at),
        live_uses=stored.live_uses,
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
