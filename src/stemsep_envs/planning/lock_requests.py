"""Which locks models need, for which targets and Pythons: one request a lock, however many models need it."""

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
class LockRequest:
    """One lock that is wanted.

    Attributes:
        runtime: The runtime it belongs to.
        variant: The variant of it, if any.
        models: The models that need it.
        requirements: What must be locked, and who asks for it.
        inputs: What the resolver is asked.
        is_plain: Whether the models need no more than their runtime and variant do.
        older: Other Pythons that serve as well, where none was named: to be tried in this order.
    """

    runtime: Runtime
    variant: str | None
    models: tuple[str, ...]
    requirements: Requirements
    inputs: LockInputs
    is_plain: bool
    older: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is locked, in words: ``msst fno``."""
        return " ".join(filter(None, [self.runtime.recipe.id, self.variant]))

    @property
    def name(self) -> str:
        """What its file is called where locks are shipped."""
        plain = shipped_name(self.inputs.target, self.inputs.python, self.variant)
        return plain if self.is_plain else f"{plain.removesuffix('.txt')}-{self.inputs.digest[:_DIGEST_CHARACTERS]}.txt"


@dataclass(frozen=True)
class LockSelection:
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


def find_requests(selection: LockSelection, *, home: Home) -> tuple[tuple[LockRequest, ...], tuple[SkippedLock, ...]]:
    """Return the locks that are wanted, and what is skipped with the reason.

    What was named is never skipped.

    Raises:
        BlockedError: A model that was named cannot be locked; carries every reason.
        UsageError: An unknown model or runtime.
        InvalidDocumentError: A registry entry or a recipe is wrong.
    """
    catalogue = catalogue_at(selection.registry_path)
    found: dict[tuple[str, str], LockRequest] = {}
    skipped: list[SkippedLock] = []
    runtimes: dict[str, Runtime] = {}
    for model_id in dict.fromkeys(selection.model_ids or catalogue.ids()):
        entry = catalogue.get(model_id)
        runtime, reasons = _runtime_of(entry, selection, runtimes)
        requirements = requirements_of(entry, runtime.recipe) if runtime is not None and not reasons else None
        if requirements is not None:
            reasons = requirements.conflicts
        if runtime is None or requirements is None or reasons:
            _skip(model_id, selection, reasons, skipped)
            continue
        for target in _usable_targets(model_id, selection, runtime, requirements, skipped):
            for python, *older in _pythons(selection, runtime, requirements, target, home):
                inputs = lock_inputs(requirements, target, python)
                request = _request(entry, runtime, requirements, inputs, tuple(older))
                key = (runtime.recipe.id, inputs.digest)
                found[key] = _joined(found.get(key), request)
    return tuple(sorted(found.values(), key=lambda item: (item.runtime.recipe.id, item.name))), tuple(skipped)


def next_request(request: LockRequest) -> LockRequest | None:
    """Return the same request for the next Python that serves; None when there is none."""
    if not request.older:
        return None
    python, *older = request.older
    return replace(request, inputs=replace(request.inputs, python=python), older=tuple(older))


def refuse_unused_pythons(selection: LockSelection, requests: Sequence[LockRequest]) -> None:
    """Refuse Pythons that were named and that none of the models named allows.

    Raises:
        UsageError: There are such.
    """
    used = {request.inputs.python for request in requests}
    unused = [minor for minor in selection.pythons if minor not in used]
    if unused and selection.model_ids:
        raise UsageError(
            f"{', '.join(selection.model_ids)}: Python {', '.join(unused)} is not in the range they allow",
            hint="`stemsep-env preflight MODEL` says which Pythons serve",
        )


def _runtime_of(
    entry: ModelEntry, selection: LockSelection, runtimes: dict[str, Runtime]
) -> tuple[Runtime | None, tuple[Reason, ...]]:
    runtimes_dir = data_dir("runtimes")
    known = known_runtimes(runtimes_dir)
    route = choose_runtime(entry, selection.runtime, known)
    if route.runtime is None or route.runtime not in known:
        return None, route.reasons
    if route.runtime not in runtimes:
        runtimes[route.runtime] = load_runtime(runtimes_dir, route.runtime)
    runtime = runtimes[route.runtime]
    reasons = (*route.reasons, *check_recipe(entry, runtime.recipe), *device_reasons(entry, runtime.recipe))
    return runtime, reasons


def _usable_targets(
    model_id: str,
    selection: LockSelection,
    runtime: Runtime,
    requirements: Requirements,
    skipped: list[SkippedLock],
) -> Iterator[Target]:
    """Yield the targets that are wanted and that the model can use; the others are skipped or refused."""
    refused = {
        target: target_reasons(requirements, target) for target in _wanted_targets(selection, runtime, requirements)
    }
    # Shipped targets are the runtime's, not the user's words: one of them that serves is enough.
    named = selection if selection.targets or all(refused.values()) else replace(selection, model_ids=())
    for target, reasons in refused.items():
        if reasons:
            _skip(model_id, named, reasons, skipped, runtime=runtime.recipe.id, target=target)
        else:
            yield target


def _wanted_targets(selection: LockSelection, runtime: Runtime, requirements: Requirements) -> Iterable[Target]:
    if selection.targets or selection.shipped:
        return selection.targets or runtime.recipe.locks.targets
    platform = this_machine().platform
    chosen = choose_target(requirements, usable_accelerators(detect(), platform), platform=platform)
    if chosen.target is None:
        raise BlockedError(f"no target of this machine can serve {requirements.parties[-1]}", chosen.reasons)
    return (chosen.target,)


def _pythons(
    selection: LockSelection, runtime: Runtime, requirements: Requirements, target: Target, home: Home
) -> Iterator[tuple[str, ...]]:
    """Yield, for each lock that is wanted, its minor and those to try when that one cannot be resolved."""
    minors = requirements.python_minors()
    if selection.pythons or selection.shipped:
        wanted = selection.pythons or runtime.recipe.locks.pythons or _installable(minors)
        yield from ((minor,) for minor in wanted if minor in minors)
        return
    here = find_interpreters(home) if this_machine().platform == target.platform else ()
    shipped = shipped_digests(runtime.locks_dir)
    inputs = {minor: lock_inputs(requirements, target, minor) for minor in minors}
    in_order: list[str] = []
    while len(in_order) < len(minors):
        choice = choose_python(
            here,
            requirements.python,
            minors=[minor for minor in minors if minor not in in_order],
            locked_minors=frozenset(minor for minor in minors if inputs[minor].digest in shipped),
            resolved_minors=frozenset(minor for minor in minors if home_lock_path(inputs[minor], home).is_file()),
            platform=target.platform,
        )
        if choice.minor is None and not in_order:
            raise BlockedError(f"no Python can serve {requirements.parties[-1]}", choice.reasons)
        if choice.minor is None:
            break
        in_order.append(choice.minor)
    refused = [minor for minor in in_order if recall(inputs[minor], home=home) is not None]
    yield (*(minor for minor in in_order if minor not in refused), *refused)


def _installable(minors: Sequence[str]) -> tuple[str, ...]:
    return tuple(minor for minor in minors if int(minor.partition(".")[2]) <= NEWEST_INSTALLABLE)


def _request(
    entry: ModelEntry, runtime: Runtime, requirements: Requirements, inputs: LockInputs, older: tuple[str, ...]
) -> LockRequest:
    recipe, variant = runtime.recipe, entry.runtime.variant
    plain = lock_inputs(merge(recipe, runtime_demands(recipe, variant=variant)), inputs.target, inputs.python)
    return LockRequest(
        runtime, variant, (entry.id,), requirements, inputs, is_plain=plain.digest == inputs.digest, older=older
    )


def _joined(before: LockRequest | None, request: LockRequest) -> LockRequest:
    return request if before is None else replace(before, models=(*before.models, *request.models))


def _skip(
    model_id: str,
    selection: LockSelection,
    reasons: Sequence[Reason],
    skipped: list[SkippedLock],
    *,
    runtime: str | None = None,
    target: Target | None = None,
) -> None:
    if model_id in selection.model_ids:
        raise BlockedError(f"{model_id} cannot be locked", tuple(reasons))
    words = "; ".join(reason.message for reason in reasons) or "it has no runtime here"
    skipped.append(SkippedLock(model=model_id, runtime=runtime, target=target, reason=words))
