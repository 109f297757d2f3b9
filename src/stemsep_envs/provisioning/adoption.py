"""What adopting an interpreter for a model takes: the requirements it must meet, the engine, the lock to compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.adopting import Adoption
from stemsep_envs.environments.locking import find_lock, shipped_digests
from stemsep_envs.environments.pythons import choose_python
from stemsep_envs.errors import BlockedError, Reason, UsageError
from stemsep_envs.host.interpreters import Interpreter, interpreter_at
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home
from stemsep_envs.planning import checks
from stemsep_envs.planning.artifact_status import answer_artifacts
from stemsep_envs.planning.engine import PlannedEngine, planned_engine
from stemsep_envs.planning.lock_requests import LockRequest, LockSelection, find_requests
from stemsep_envs.provisioning.build_confinement import BuildConfinement
from stemsep_envs.registry.catalogue import catalogue_at, files_dir


@dataclass(frozen=True)
class AdoptOptions:
    """What is adopted for which model.

    Attributes:
        python: The interpreter, also one of a virtual environment.
        model_id: The model; all that need the same will use it.
        target: A whole target, an accelerator (``cu128``), or ``auto``.
        runtime: A runtime to insist on.
        registry_path: The registry file; None for the one in use.
    """

    python: Path
    model_id: str
    target: str = "auto"
    runtime: str | None = None
    registry_path: Path | None = None


def plan_adoption(options: AdoptOptions, *, home: Home) -> Adoption:
    """Find out what an interpreter must meet to serve a model, and whether its kind and version can.

    Raises:
        BlockedError: They cannot, or the model's engine is not known yet; carries every reason.
        UsageError: The interpreter does not answer; an unknown model or target.
    """
    # Not resolved: what a link of a virtual environment leads to is another interpreter.
    python = options.python.expanduser().absolute()
    interpreter = interpreter_at(python)
    selection = LockSelection(
        model_ids=(options.model_id,),
        targets=_targets(options.target),
        pythons=(interpreter.minor,),
        registry_path=options.registry_path,
        runtime=options.runtime,
    )
    requests, _ = find_requests(selection, home=home)
    if not requests:
        words = f"{options.model_id} does not run on Python {interpreter.minor}"
        raise BlockedError(words, (Reason("adopted_unfit", words, hint="adopt another Python"),))
    (request,) = requests
    _refuse_unfit(interpreter, request)
    engine = _engine(request, options, home)
    found = find_lock(request.inputs, shipped=shipped_digests(request.runtime.locks_dir), home=home)
    return Adoption(
        python=python,
        interpreter=interpreter,
        inputs=request.inputs,
        requirements=request.requirements,
        lock=found.lock if found is not None else None,
        health_imports=request.runtime.recipe.health.imports,
        engine_digest=engine.digest if engine is not None else None,
        title=request.title,
        confine=BuildConfinement(home),
    )


def _engine(request: LockRequest, options: AdoptOptions, home: Home) -> PlannedEngine | None:
    """Return the engine that the interpreter is adopted for, which must be known."""
    entry = catalogue_at(options.registry_path).get(options.model_id)
    answers = answer_artifacts(entry, home, files_below=files_dir(options.registry_path))
    engine = planned_engine(request.runtime, request.variant, checks.model_files(answers))
    if engine is not None and (engine.problems or engine.digest is None):
        words = f"the engine of {options.model_id} is not known until its files are here"
        reasons = engine.problems or (Reason("engine_file_missing", words, hint="fetch the model's files first"),)
        raise BlockedError(reasons[0].message, reasons, hint=reasons[0].hint)
    return engine


def _targets(text: str) -> tuple[Target, ...]:
    if text == "auto":
        return ()
    platform = this_machine().platform
    try:
        return (parse_target(text if "-" in text else f"{platform}-{text}"),)
    except ValueError as error:
        raise UsageError(str(error), code="target_unknown") from None


def _refuse_unfit(interpreter: Interpreter, request: LockRequest) -> None:
    choice = choose_python(
        (interpreter,),
        request.requirements.python,
        minors=(interpreter.minor,),
        locked_minors=frozenset(),
        platform=request.inputs.target.platform,
    )
    if choice.interpreter is None:
        raise BlockedError(
            f"{interpreter.path} cannot be adopted",
            tuple(Reason("adopted_unfit", words) for words in choice.refused),
        )
