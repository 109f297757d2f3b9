"""`env verify`: compare environments with what was built."""

from __future__ import annotations

from collections.abc import Sequence

from stemsep_envs.documents.environment_reports import VerifiedEnvironment, VerifyReport
from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.environments.lookup import named_or_all
from stemsep_envs.environments.verifying import verify
from stemsep_envs.host.paths import Home, find_home


def verify_environments(prefixes: Sequence[str], *, quick: bool, on_event: OnEvent) -> VerifyReport:
    """Compare environments with what was built: those that are named, or all.

    Raises:
        UsageError: One that is named does not exist.
    """
    home, report = find_home(), step_reporter(on_event)
    verified = []
    for item in named_or_all(home, prefixes):
        report("verify", f"verifying {item.digest[:12]}")
        verified.append(_verified(home, item.digest, quick=quick))
    return VerifyReport(ok=all(item.ok for item in verified), quick=quick, environments=tuple(verified))


def _verified(home: Home, digest: str, *, quick: bool) -> VerifiedEnvironment:
    found = verify(home, digest, quick=quick)
    return VerifiedEnvironment(
        digest=digest,
        ok=not found.differences,
        differences=found.differences,
        files=found.files,
        hashed_bytes=found.hashed_bytes,
        seconds=round(found.seconds, 3),
    )
