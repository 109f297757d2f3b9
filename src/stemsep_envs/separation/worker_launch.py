"""Starting the worker of a plan: its sandbox and its command line."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from stemsep_envs.documents.events import Event, OnEvent
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.host.interpreter_files import parts_of, readable_for
from stemsep_envs.host.paths import INSIDE_DIR
from stemsep_envs.planning.plan import Plan
from stemsep_envs.sandbox.launcher_command import worker_exit_cause
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import Policy
from stemsep_envs.sandbox.worker_environ import worker_environ
from stemsep_envs.separation.output_limits import FLOOR_BYTES
from stemsep_envs.separation.scratch import Scratch
from stemsep_envs.worker.connection import WorkerConnection
from stemsep_envs.worker.deadlines import Deadlines

ENTRY_PATH = INSIDE_DIR / "entry.py"


def launch_worker(
    plan: Plan,
    environment: Environment,
    scratch: Scratch,
    *,
    resources: ExitStack,
    deadlines: Deadlines | None,
    on_event: OnEvent,
) -> WorkerConnection:
    """Start the worker of a plan in its sandbox.

    Args:
        plan: The model's plan.
        environment: Where the worker runs.
        scratch: The session's folders.
        resources: Gets what has to be released after the worker has ended.
        deadlines: How long the worker may take.
        on_event: Told of the step and of what the worker logs.

    Raises:
        StemsepEnvError: It could not be started.
    """
    on_event(Event(event="step", step="start", message=f"starting {plan.runtime.recipe.id}"))
    confined = level_named(plan.level).confine(_argv(plan, environment), _policy(plan, environment, scratch))
    command = resources.enter_context(confined)
    return WorkerConnection(
        command,
        deadlines=deadlines,
        explain_end=partial(worker_exit_cause, command),
        on_log=lambda level, text: on_event(Event(event="log", level=level, message=text)),
    )


def _policy(plan: Plan, environment: Environment, scratch: Scratch) -> Policy:
    return Policy(
        readable=(
            environment.dir,
            *readable_for(Path(environment.receipt.base_interpreter.path)),
            *_adopted_dirs(environment),
            INSIDE_DIR,
            plan.runtime.dir,
            *([plan.engine.tree_dir(plan.home)] if plan.engine else []),
            scratch.inputs_dir,
            *(artifact.path for artifact in plan.artifacts),
        ),
        writable_dir=scratch.work_dir,
        env=worker_environ(scratch.work_dir, keep_memory=plan.runtime.recipe.torch is not None),
        limits=replace(plan.limits, output_bytes=FLOOR_BYTES),
        gpu=not plan.model.target.family.is_processor,
        output_file=scratch.output_limit_file,
    )


def _argv(plan: Plan, environment: Environment) -> tuple[str, ...]:
    engine = ("--engine", str(plan.engine.import_dir(plan.home))) if plan.engine else ()
    adapter = str(plan.runtime.adapter_path)
    return (str(environment.python), "-I", "-B", str(ENTRY_PATH), "--adapter", adapter, *engine)


def _adopted_dirs(environment: Environment) -> tuple[Path, ...]:
    """Return what a worker reads of an interpreter that was adopted: its distributions, and libraries beside them."""
    adopted = environment.receipt.adopted
    return (*parts_of(Path(adopted.prefix)), *map(Path, adopted.site_dirs)) if adopted is not None else ()
