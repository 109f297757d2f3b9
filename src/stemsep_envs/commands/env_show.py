"""`env show`: one environment with its receipt."""

from __future__ import annotations

from stemsep_envs.documents.environment_reports import EnvironmentDetails
from stemsep_envs.documents.timestamps import utc_text
from stemsep_envs.environments.environment_store import read_receipt
from stemsep_envs.environments.lookup import named_environment
from stemsep_envs.host.paths import find_home


def environment_details(prefix: str) -> EnvironmentDetails:
    """Return one environment with its receipt.

    Args:
        prefix: Its digest, or enough of the beginning to name one.

    Raises:
        UsageError: None or several begin so, or its receipt is gone.
    """
    home = find_home()
    stored = named_environment(home, prefix)
    return EnvironmentDetails(
        dir=str(stored.dir),
        state="broken" if stored.problem else "whole",
        problem=stored.problem,
        last_used=utc_text(stored.last_used_at),
        live_uses=stored.live_uses,
        receipt=stored.receipt or read_receipt(home, stored.digest),
    )
