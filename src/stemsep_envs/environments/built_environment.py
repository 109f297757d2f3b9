"""An environment that is there: found without loading anything that could build one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.environment import Receipt
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.host.paths import Home


@dataclass(frozen=True)
class Environment:
    """A whole environment.

    Attributes:
        digest: Its name.
        dir: Its folder: ``venv/``, ``lock.txt``, ``receipt.json``.
        python: Its interpreter; start workers with this, never through uv.
        receipt: What went in and how it was built.
        reused: Whether it was there already, or another process built it meanwhile.
        steps_seconds: What was done just now, and how long each step took.
    """

    digest: str
    dir: Path
    python: Path
    receipt: Receipt
    reused: bool
    steps_seconds: Mapping[str, float]


def ready_environment(plan: EnvironmentPlan, home: Home) -> Environment | None:
    """Return the planned environment where it is whole, or None where something has to be done first."""
    if plan.reasons or plan.digest is None:
        return None
    is_adopted = plan.state == "ready" and plan.lock is None
    if not is_adopted and environment_store.problem_with(home, plan.digest) is not None:
        return None
    return environment_at(home, plan.digest, reused=True, steps_seconds={})


def environment_at(home: Home, digest: str, *, reused: bool, steps_seconds: Mapping[str, float]) -> Environment:
    """Return the environment of a digest.

    Raises:
        UsageError: Its receipt cannot be read.
    """
    folder = environment_store.environment_dir(home, digest)
    receipt = environment_store.read_receipt(home, digest)
    return Environment(digest, folder, environment_store.python_path(folder), receipt, reused, steps_seconds)
