"""The engine of a plan: its source tree, made if need be."""

from __future__ import annotations

from stemsep_envs.environments.engines.reuse_or_patch import Engine
from stemsep_envs.environments.engines.reuse_or_patch import ensure_engine as make_engine
from stemsep_envs.environments.reporting import Report
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.engine import PlannedEngine


def ensure_engine(engine: PlannedEngine, home: Home, *, offline: bool, report: Report) -> Engine:
    """Return the tree of a planned engine, made if it is not here.

    Raises:
        BlockedError: Something is missing.
        BuildError: It cannot be fetched.
        MismatchError: The stock tree is not the one that the patches were written for.
        LimitError: No space.
    """
    return make_engine(
        engine.source,
        engine.patches,
        home=home,
        runtime_dir=engine.runtime_dir,
        artifacts=engine.supplied(home),
        offline=offline,
        report=report,
        title=engine.title,
    )
