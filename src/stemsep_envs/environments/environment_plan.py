"""Planning: from requirements to the environment that meets them, without changing or fetching anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stemsep_envs.documents.builders import DEFAULT_BUILDER
from stemsep_envs.documents.environment import BuilderName, EnvironmentInputs, InterpreterIdentity, Receipt
from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.platforms import platform_row
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Target
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.adopted import find_adopted
from stemsep_envs.environments.builder_choice import choose_builder
from stemsep_envs.environments.environment_question import EnvironmentQuestion
from stemsep_envs.environments.locking import FoundLock, find_lock, home_lock_path, lock_inputs, shipped_digests
from stemsep_envs.environments.pythons import PythonChoice, choose_python
from stemsep_envs.environments.unsatisfiable_cache import Refusal, forget, recall
from stemsep_envs.errors import Reason
from stemsep_envs.host.interpreters import Interpreter, find_interpreters, interpreter_at
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home

State = Literal["ready", "to_fetch", "to_build", "to_lock", "impossible"]


@dataclass(frozen=True)
class EnvironmentPlan:
    """What `ensure_environment` would use and do. Plain data: it can be written, and read by another process.

    Attributes:
        question: What was asked.
        python: The chosen interpreter, or the minor that has to be installed first.
        lock_inputs: The question its lock answers; None when no Python serves.
        lock: The lock, when there is one already.
        digest: The environment's name; None until interpreter and lock are known.
        state: ``ready`` to use; ``to_build``; ``to_lock`` (resolve first, then build); ``to_fetch`` (the model's files
            first, of which its engine is made, and then plan again); ``impossible`` (see `reasons`).
        reasons: Why it is impossible; empty otherwise.
        builder: What builds it, when it has to be built.
    """

    question: EnvironmentQuestion
    python: PythonChoice
    lock_inputs: LockInputs | None
    lock: FoundLock | None
    digest: str | None
    state: State
    reasons: tuple[Reason, ...]
    builder: BuilderName = DEFAULT_BUILDER

    @property
    def requirements(self) -> Requirements:
        """What it must hold, and who asks."""
        return self.question.requirements

    @property
    def target(self) -> Target:
        """What it is made for."""
        return self.question.target

    @property
    def title(self) -> str:
        """What is planned, in words: ``dsp for linux-x86_64-cpu``."""
        return self.question.title


def plan_environment(question: EnvironmentQuestion, *, home: Home, anew: bool = False) -> EnvironmentPlan:
    """Say which environment would serve, and whether it is there. Reads; builds and fetches nothing.

    Args:
        question: What is asked.
        home: Where environments are.
        anew: Forget what the resolver refused, since it is about to be asked again.

    Raises:
        MismatchError: The lock that serves was changed.
        UsageError: A builder is named that does not exist.
    """
    requirements, target = question.requirements, question.target
    shipped = shipped_digests(question.locks_dir)
    minors = tuple(minor for minor in requirements.python_minors() if question.python in {None, minor})
    asked = {minor: lock_inputs(requirements, target, minor) for minor in minors}
    locked_minors = frozenset(minor for minor, inputs in asked.items() if inputs.digest in shipped)
    interpreters = find_interpreters(home)
    builder = choose_builder(question.builder, home=home)
    if question.engine_known:
        adopted = _adopted_plan(question, asked, interpreters, home)
        if adopted is not None:
            return adopted
    resolved_minors = frozenset(minor for minor, inputs in asked.items() if home_lock_path(inputs, home).is_file())
    for inputs in asked.values() if anew else ():
        forget(inputs, home=home)
    refused = _refused(asked, locked_minors | resolved_minors, home)
    choice = choose_python(
        interpreters,
        requirements.python,
        minors=tuple(minor for minor in minors if minor not in refused),
        locked_minors=locked_minors,
        resolved_minors=resolved_minors,
        platform=target.platform,
    )
    python_reasons = choice.reasons
    if requirements.python.empty:  # that has been said, with who set its ends
        python_reasons = ()
    elif choice.reasons and refused:
        choice = choose_python(
            interpreters, requirements.python, minors=minors, locked_minors=locked_minors, platform=target.platform
        )
        python_reasons = choice.reasons or (refused.get(choice.minor or "", next(iter(refused.values()))).reason(),)
    reasons = (*requirements.conflicts, *_machine_reasons(target), *python_reasons)
    chosen = asked.get(choice.minor) if choice.minor else None
    lock = find_lock(chosen, shipped=shipped, home=home) if chosen and not reasons else None
    known = question.engine_known
    digest = environment_digest(choice.interpreter, target, lock, question.engine_digest) if known else None
    return EnvironmentPlan(
        question=question,
        python=choice,
        lock_inputs=chosen,
        lock=lock,
        digest=digest,
        state=_state(home, digest, lock, reasons) if known or reasons else "to_fetch",
        reasons=reasons,
        builder=builder,
    )


def _adopted_plan(
    question: EnvironmentQuestion, asked: Mapping[str, LockInputs], interpreters: Sequence[Interpreter], home: Home
) -> EnvironmentPlan | None:
    """Return the plan of an environment that was adopted for this, by the newest Python; None when there is none."""
    for minor, inputs in asked.items():
        receipt, broken = find_adopted(inputs, question.engine_digest, home)
        if receipt is not None or broken:
            reasons = (*question.requirements.conflicts, *_machine_reasons(question.target), *broken)
            return EnvironmentPlan(
                question=question,
                python=_adopted_python(minor, receipt, interpreters),
                lock_inputs=inputs,
                lock=None,
                digest=receipt.digest if receipt is not None else None,
                state="impossible" if reasons else "ready",
                reasons=reasons,
            )
    return None


def _refused(asked: Mapping[str, LockInputs], locked: Collection[str], home: Home) -> dict[str, Refusal]:
    """Return what is known against minors that have no lock."""
    found = {minor: recall(inputs, home=home) for minor, inputs in asked.items() if minor not in locked}
    return {minor: refusal for minor, refusal in found.items() if refusal is not None}


def _adopted_python(minor: str, receipt: Receipt | None, interpreters: Sequence[Interpreter]) -> PythonChoice:
    if receipt is None or receipt.adopted is None:
        return PythonChoice(minor, None, "an adopted interpreter that can no longer be used")
    path = Path(receipt.base_interpreter.path)
    found = next((interpreter for interpreter in interpreters if interpreter.path == path), None)
    return PythonChoice(minor, found or interpreter_at(path), f"adopted: {receipt.adopted.python}")


def with_lock(plan: EnvironmentPlan, lock: FoundLock, *, home: Home) -> EnvironmentPlan:
    """Return a plan with the lock that was found for it since."""
    if plan.state == "to_fetch":  # the engine has no name yet
        return replace(plan, lock=lock)
    digest = environment_digest(plan.python.interpreter, plan.target, lock, plan.question.engine_digest)
    return replace(plan, lock=lock, digest=digest, state=_state(home, digest, lock, plan.reasons))


def environment_inputs(
    interpreter: Interpreter, target: Target, lock: FoundLock, engine_digest: str | None
) -> EnvironmentInputs:
    """Return all that goes into an environment."""
    identity = InterpreterIdentity(
        implementation=interpreter.implementation, version=interpreter.version, soabi=interpreter.soabi
    )
    return EnvironmentInputs(target=target, interpreter=identity, lock=lock.lock.digest, engine=engine_digest)


def environment_digest(
    interpreter: Interpreter | None, target: Target, lock: FoundLock | None, engine_digest: str | None
) -> str | None:
    """Return the environment's name, or None while an ingredient is unknown."""
    if interpreter is None or lock is None:
        return None
    return environment_inputs(interpreter, target, lock, engine_digest).digest


def _state(home: Home, digest: str | None, lock: FoundLock | None, reasons: tuple[Reason, ...]) -> State:
    if reasons:
        return "impossible"
    if lock is None:
        return "to_lock"
    return "ready" if digest is not None and environment_store.problem_with(home, digest) is None else "to_build"


def _machine_reasons(target: Target) -> tuple[Reason, ...]:
    machine = this_machine()
    if machine.platform != target.platform:
        return (
            Reason(
                "target_not_here",
                f"{target} cannot be built on {machine.platform}",
                hint="lock it here and build it there, or choose a target of this machine",
            ),
        )
    oldest = platform_row(machine.platform).least_glibc
    if oldest is not None and (machine.glibc or (0, 0)) < oldest:
        here = "another C library" if machine.glibc is None else f"version {machine.glibc[0]}.{machine.glibc[1]}"
        words = f"wheels for {machine.platform} need the GNU C library {oldest[0]}.{oldest[1]} or newer; here is {here}"
        return (Reason("libc_not_supported", words, hint="use a container image of a newer system"),)
    return ()
