"""Which locks are wanted: the questions of models, for targets and Pythons, each asked once however many ask it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.lock_reports import SkippedLock
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.locking import home_lock_path, lock_inputs, shipped_digests, shipped_name
from stemsep_envs.environments.merging import merge, runtime_demands
from stemsep_envs.environments.pythons import NEWEST_INSTALLABLE, choose_python
from stemsep_envs.environments.targets import choose_target, target_reasons
from stemsep_envs.environments.unsatisfiable_cache import recall
from stemsep_envs.errors import BlockedError, Reason, UsageError
from stemsep_envs.host.accelerators import detect, usable_accelerators
from stemsep_envs.host.interpreters import find_interpreters
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home, data_dir
from stemsep_envs.planning.requirements import device_reasons, requirements_of
from stemsep_envs.registry.catalogue import catalogue_at
from stemsep_envs.registry.recipes import Runtime, known_runtimes, load_runtime
from stemsep_envs.registry.routing import check_recipe, choose_runtime

_DIGEST_CHARACTERS = 8


@dataclass(frozen=True)
class Question:
    """One lock that is wanted.

    Attributes:
        runtime: The runtime it belongs to.
        variant: The variant of it, if any.
        models: The models that ask.
        requirements: What must be locked, and who asks.
        inputs: The question itself.
        name: What its file is called where locks are shipped.
        older: Other minors that serve as well, where none was asked for: to be tried in this order.
    """

    runtime: Runtime
    variant: str | None
    models: tuple[str, ...]
    requirements: Requirements
    inputs: LockInputs
    name: str
    older: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is locked, in words: ``msst fno``."""
        return " ".join(filter(None, [self.runtime.recipe.id, self.variant]))


@dataclass(frozen=True)
class Asked:
    """What the user wants locked.

    Attributes:
        model_ids: These models; empty for all.
        targets: For these targets; empty for those that locks are shipped for, or for this machine.
        pythons: For these minors.
        shipped: Whether the locks that ship with the runtimes are meant, rather than those of this machine.
        registry_path: The registry file; None for the one in use.
        runtime: A runtime to insist on.
    """

    model_ids: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    pythons: tuple[str, ...] = ()
    shipped: bool = False
    registry_path: Path | None = None
    runtime: str | None = None


def find_questions(asked: Asked, *, home: Home) -> tuple[tuple[Question, ...], tuple[SkippedLock, ...]]:
    """Return the locks that are wanted, and what is passed over with the reason.

    What is asked for by name is never passed over.

    Raises:
        BlockedError: A model that was named cannot be locked; carries every reason.
        UsageError: An unknown model or runtime.
        InvalidDocumentError: A registry entry or a recipe is wrong.
    """
    catalogue = catalogue_at(asked.registry_path)
    found: dict[tuple[str, str], Question] = {}
    skipped: list[SkippedLock] = []
    runtimes: dict[str, Runtime] = {}
    for model_id in dict.fromkeys(asked.model_ids or catalogue.ids()):
        entry = catalogue.get(model_id)
        runtime, reasons = _runtime_of(entry, asked, runtimes)
        requirements = requirements_of(entry, runtime.recipe) if runtime is not None and not reasons else None
        if requirements is not None:
            reasons = requirements.conflicts
        if runtime is None or requirements is None or reasons:
            _pass_over(model_id, asked, reasons, skipped)
            continue
        targets = tuple(_targets(asked, runtime, requirements))
        refused = {target: target_reasons(requirements, target) for target in targets}
        # Shipped targets are the runtime's, not the user's words: one of them that serves is enough.
        insisted = bool(asked.targets) or all(refused.values())
        for target in targets:
            if refused[target]:
                named = asked if insisted else replace(asked, model_ids=())
                _pass_over(model_id, named, refused[target], skipped, runtime=runtime.recipe.id, target=target)
                continue
            for python, *older in _pythons(asked, runtime, requirements, target, home):
                inputs = lock_inputs(requirements, target, python)
                question = _question(entry, runtime, requirements, inputs, tuple(older))
                key = (runtime.recipe.id, question.inputs.digest)
                found[key] = _joined(found.get(key), question)
    return tuple(sorted(found.values(), key=lambda item: (item.runtime.recipe.id, item.name))), tuple(skipped)


def _runtime_of(
    entry: ModelEntry, asked: Asked, runtimes: dict[str, Runtime]
) -> tuple[Runtime | None, tuple[Reason, ...]]:
    runtimes_dir = data_dir("runtimes")
    known = known_runtimes(runtimes_dir)
    route = choose_runtime(entry, asked.runtime, known)
    if route.runtime is None or route.runtime not in known:
        return None, route.reasons
    if route.runtime not in runtimes:
        runtimes[route.runtime] = load_runtime(runtimes_dir, route.runtime)
    runtime = runtimes[route.runtime]
    reasons = (*route.reasons, *check_recipe(entry, runtime.recipe), *device_reasons(entry, runtime.recipe))
    return runtime, reasons


def _targets(asked: Asked, runtime: Runtime, requirements: Requirements) -> Iterable[Target]:
    if asked.targets or asked.shipped:
        return asked.targets or runtime.recipe.locks.targets
    platform = this_machine().platform
    chosen = choose_target(requirements, usable_accelerators(detect(), platform), platform=platform)
    if chosen.target is None:
        raise BlockedError(f"no target of this machine can serve {requirements.parties[-1]}", chosen.reasons)
    return (chosen.target,)


def older_question(question: Question) -> Question | None:
    """Return the same question for the next Python that serves; None when there is none."""
    if not question.older:
        return None
    python, *older = question.older
    inputs = replace(question.inputs, python=python)
    before, now = (f"-py{minor.replace('.', '')}" for minor in (question.inputs.python, python))
    name = question.name.replace(before, now).replace(
        question.inputs.digest[:_DIGEST_CHARACTERS], inputs.digest[:_DIGEST_CHARACTERS]
    )
    return replace(question, inputs=inputs, name=name, older=tuple(older))


def _pythons(
    asked: Asked, runtime: Runtime, requirements: Requirements, target: Target, home: Home
) -> Iterator[tuple[str, ...]]:
    """Yield, for each lock that is wanted, its minor and those to try when that one has no answer."""
    minors = requirements.python_minors()
    if asked.pythons or asked.shipped:
        wanted = asked.pythons or runtime.recipe.locks.pythons or _installable(minors)
        yield from ((minor,) for minor in wanted if minor in minors)
        return
    here = find_interpreters(home) if this_machine().platform == target.platform else ()
    shipped = shipped_digests(runtime.locks_dir)
    questions = {minor: lock_inputs(requirements, target, minor) for minor in minors}
    in_order: list[str] = []
    while len(in_order) < len(minors):
        choice = choose_python(
            here,
            requirements.python,
            minors=[minor for minor in minors if minor not in in_order],
            locked_minors=frozenset(minor for minor in minors if questions[minor].digest in shipped),
            resolved_minors=frozenset(minor for minor in minors if home_lock_path(questions[minor], home).is_file()),
            platform=target.platform,
        )
        if choice.minor is None and not in_order:
            raise BlockedError(f"no Python can serve {requirements.parties[-1]}", choice.reasons)
        if choice.minor is None:
            break
        in_order.append(choice.minor)
    refused = [minor for minor in in_order if recall(questions[minor], home=home) is not None]
    yield (*(minor for minor in in_order if minor not in refused), *refused)


def _installable(minors: Sequence[str]) -> tuple[str, ...]:
    return tuple(minor for minor in minors if int(minor.partition(".")[2]) <= NEWEST_INSTALLABLE)


def _question(
    entry: ModelEntry, runtime: Runtime, requirements: Requirements, inputs: LockInputs, older: tuple[str, ...]
) -> Question:
    """Name the question: plainly when the model asks no more than its runtime and variant do."""
    recipe, variant = runtime.recipe, entry.runtime.variant
    plain = merge(recipe, runtime_demands(recipe, variant=variant))
    name = shipped_name(inputs.target, inputs.python, variant)
    if lock_inputs(plain, inputs.target, inputs.python).digest != inputs.digest:
        name = f"{name.removesuffix('.txt')}-{inputs.digest[:_DIGEST_CHARACTERS]}.txt"
    return Question(runtime, variant, (entry.id,), requirements, inputs, name, older)


def _joined(before: Question | None, question: Question) -> Question:
    if before is None:
        return question
    return replace(before, models=(*before.models, *question.models))


def _pass_over(
    model_id: str,
    asked: Asked,
    reasons: Sequence[Reason],
    skipped: list[SkippedLock],
    *,
    runtime: str | None = None,
    target: Target | None = None,
) -> None:
    if model_id in asked.model_ids:
        raise BlockedError(f"{model_id} cannot be locked", tuple(reasons))
    words = "; ".join(reason.message for reason in reasons) or "it has no runtime here"
    skipped.append(SkippedLock(model=model_id, runtime=runtime, target=target, reason=words))


def refuse_unknown_minors(asked: Asked, questions: Sequence[Question]) -> None:
    """Refuse Pythons that were named and that nothing asked for admits.

    Raises:
        UsageError: There are such.
    """
    used = {question.inputs.python for question in questions}
    unused = [minor for minor in asked.pythons if minor not in used]
    if unused and asked.model_ids:
        raise UsageError(
            f"{', '.join(asked.model_ids)}: Python {', '.join(unused)} is outside of what they admit",
            hint="`stemsep-env preflight MODEL` says which Pythons serve",
        )
