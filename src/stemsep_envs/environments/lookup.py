"""Finding environments by the beginning of their digests, as a user names them."""

from __future__ import annotations

from collections.abc import Sequence

from stemsep_envs.environments.environment_store import Stored, list_environments
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import Home


def named_environment(home: Home, prefix: str) -> Stored:
    """Return the one environment whose digest begins with ``prefix``.

    Raises:
        UsageError: None or several do.
    """
    found = [item for item in list_environments(home) if item.digest.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = "`stemsep-env env list` shows them all"
        raise UsageError(f"there is no environment {prefix}", hint=hint, code="unknown_environment")
    several = ", ".join(item.digest[:16] for item in found[:5])
    raise UsageError(
        f"{len(found)} environments begin with {prefix}: {several}", hint="give more characters of the digest"
    )


def named_environments(home: Home, prefixes: Sequence[str]) -> tuple[Stored, ...]:
    """Return the environments that are named, each once; raises as `named_environment` does."""
    named = {stored.digest: stored for stored in (named_environment(home, prefix) for prefix in prefixes)}
    return tuple(named.values())


def named_or_all(home: Home, prefixes: Sequence[str]) -> tuple[Stored, ...]:
    """Return the environments that are named, or all when none is; raises as `named_environment` does."""
    return named_environments(home, prefixes) if prefixes else list_environments(home)
