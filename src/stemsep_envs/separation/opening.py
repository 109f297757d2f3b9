"""Opening a session for a plan: its checkpoints converted, its environment and files kept while it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from stemsep_envs.artifacts.uses import in_use as artifacts_in_use
from stemsep_envs.documents.events import OnEvent, ignore_event, step_reporter
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.planning.plan import Plan
from stemsep_envs.provisioning.environment import ensure_planned
from stemsep_envs.sandbox.level_table import level_row
from stemsep_envs.separation.scratch import session_scratch
from stemsep_envs.separation.session import ModelSession
from stemsep_envs.worker.deadlines import Deadlines

_TRIES = 3
"""How often an environment may be removed by others between being found and being used."""


@contextmanager
def open_planned(
    plan: Plan,
    environment: Environment,
    *,
    scratch_parent: Path,
    on_event: OnEvent = ignore_event,
    deadlines: Deadlines | None = None,
) -> Iterator[ModelSession]:
    """Open a session for a plan whose environment is built; at the end every process and the scratch folder are gone.

    Args:
        plan: From preflight.
        environment: From ensure.
        scratch_parent: Where the worker's scratch folder is made: best on the file system the stems will be on.
        on_event: Called with each step and log line.
        deadlines: How long the worker may take.

    Raises:
        ModelError: The worker did not start or the model did not load.
        UsageError: ``scratch_parent`` cannot be written.
        LimitError: Converting a checkpoint took too long, or too much memory or disk.
    """
    with artifacts_in_use(plan.home, {artifact.record.sha256 for artifact in plan.artifacts}):
        yield from _opened(plan, environment, scratch_parent, on_event, deadlines)


def _opened(
    plan: Plan, environment: Environment, scratch_parent: Path, on_event: OnEvent, deadlines: Deadlines | None
) -> Iterator[ModelSession]:
    if plan.artifacts:
        from stemsep_envs.provisioning.conversion import convert_artifacts  # noqa: PLC0415 - for models with weights

        plan = convert_artifacts(plan, report=step_reporter(on_event))
    with _used(plan, environment, on_event) as used, session_scratch(scratch_parent, home=plan.home) as scratch:
        session = ModelSession(plan, used, scratch, on_event=on_event, deadlines=deadlines)
        try:
            yield session
        except BaseException as error:
            session.close(politely=isinstance(error, StemsepEnvError))
            raise
        session.close()


@contextmanager
def _used(plan: Plan, environment: Environment, on_event: OnEvent) -> Iterator[Environment]:
    """Keep an environment while the block runs; one that someone removed since it was found is built again."""
    with ExitStack() as used:
        for attempt in range(_TRIES):
            try:
                mark = environment_store.in_use(
                    plan.home, environment.digest, prepare=partial(_make_safe, plan, environment)
                )
                used.enter_context(mark)
                break
            except StemsepEnvError as error:
                if error.code != "environment_gone" or attempt + 1 == _TRIES:
                    raise
            environment = ensure_planned(plan, on_event=on_event)
        yield environment


def _make_safe(plan: Plan, environment: Environment) -> None:
    """Keep a worker that could write to its environment from reaching the package cache through it."""
    if not level_row(plan.level).keeps_files:
        from stemsep_envs.environments.linking import make_private  # noqa: PLC0415 - few workers can write to theirs

        make_private(plan.home, environment.digest)
