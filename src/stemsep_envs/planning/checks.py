"""The single questions of preflight, each answered with statuses for the report and reasons where the answer is no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemsep_envs.documents.preflight import RequirementStatus, Status
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.environments.unsatisfiable_cache import CODE as UNSATISFIABLE
from stemsep_envs.errors import Reason
from stemsep_envs.host.audio_headers import read_header
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.artifact_status import ArtifactAnswers
from stemsep_envs.planning.engine import ModelFile, PlannedEngine

OVERRIDABLE = frozenset(
    {
        "model_blocked",
        "runtime_not_allowed",
        "manual_step_unconfirmed",
        "phase_fix_reference_invalid",
        "file_missing",
        "accelerator_missing",
        "input_channels",
        "artifact_metadata_conflict",
    }
)
"""What ``--enforce warn`` lets pass: judgements. What could not run anyway stays an error."""


@dataclass(frozen=True)
class Answers:
    """Statuses of like requirements, and why some are not met."""

    statuses: tuple[RequirementStatus, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class InputAnswer:
    """What the header of an input says, and whether the model takes it."""

    facts: Mapping[str, Any] | None
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()


def manual_steps(entry: ModelEntry, recipe: RuntimeRecipe, *, confirmed: bool) -> Answers:
    """Answer for what a person must do first: confirmed, done by the variant's patches, or missing."""
    variant = recipe.variants.get(entry.runtime.variant or "")
    done_by_patches = variant.performs if variant else ()
    statuses: list[RequirementStatus] = []
    reasons: list[Reason] = []
    for index, step in enumerate(entry.requirements.manual_steps):
        path = f"requirements.manual_steps[{index}]"
        status: Status = "ok"
        if step in done_by_patches:
            reason = f"the patches of variant {entry.runtime.variant} do it"
        elif confirmed:
            reason = "confirmed with --confirm-manual-steps"
        else:
            status, reason = "missing", "not confirmed"
            hint = "do it, then confirm with --confirm-manual-steps"
            reasons.append(Reason("manual_step_unconfirmed", f"a manual step is not confirmed: {step}", hint, path))
        statuses.append(_status(step, status, reason, f"model {entry.id}: {path}"))
    return Answers(tuple(statuses), tuple(reasons))


def engine_files(entry: ModelEntry, engine: PlannedEngine | None, home: Home) -> Answers:
    """Answer for files that the model expects in its engine's source tree."""
    files = entry.requirements.files
    statuses: list[RequirementStatus] = []
    reasons: list[Reason] = []
    for index, name in enumerate(files.expects):
        path = f"requirements.files.expects[{index}]"
        if name in files.provides:
            statuses.append(_status(name, "ok", "the model brings it", f"model {entry.id}: {path}"))
            continue
        origin = f"model {entry.id}: {path}"
        has_it = engine.state_of(name, home) if engine else False
        if has_it:
            statuses.append(_status(name, "ok", "in the engine's source tree, or put there by the patches", origin))
            continue
        if has_it is None:
            statuses.append(_status(name, "will_fetch", "the engine's source tree is not here yet", origin))
            continue
        message = f"{name} is expected in the engine's source tree and is missing"
        hint = "choose a variant that brings it" if engine else "choose a runtime with an engine of its own"
        statuses.append(_status(name, "missing", message, origin))
        reasons.append(Reason("file_missing", message, hint, path))
    return Answers(tuple(statuses), tuple(reasons))


def model_files(answers: ArtifactAnswers) -> tuple[ModelFile, ...]:
    """Return the model's files as its engine may take them: what they must be, and where those are that are here."""
    here = {record.name: (record.sha256, path) for record, path in answers.found}
    files = []
    for status in answers.statuses:
        sha256, path = here.get(status.name, (status.sha256, None))
        files.append(ModelFile(status.name, status.filename, status.kind, sha256, path))
    return tuple(files)


def input_answer(entry: ModelEntry, recipe: RuntimeRecipe, path: Path | None) -> InputAnswer:
    """Answer for an input by what its header says: does the model take that many channels?"""
    if path is None:
        return InputAnswer(None)
    if not path.is_file():
        reason = Reason("input_missing", f"{path} is not a file", hint="check the path")
        return InputAnswer(None, (reason,))
    header = read_header(path)
    if header is None or header.channels is None:
        words = f"the header of {path.name} does not say how many channels it has; the worker will find out"
        return InputAnswer(None, warnings=(Reason("input_unknown", words),))
    facts = {
        "channels": header.channels,
        "sample_rate": header.sample_rate,
        "duration_seconds": header.duration_seconds,
    }
    return InputAnswer(facts, channel_reasons(entry, recipe, header.channels))


def channel_reasons(entry: ModelEntry, recipe: RuntimeRecipe, channels: int) -> tuple[Reason, ...]:
    """Say why the model does not take an input of so many channels; empty when it does."""
    supports = {1: entry.capabilities.supports_mono, 2: entry.capabilities.supports_stereo}
    words = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    if supports.get(channels) is False:
        field = "supports_mono" if channels == 1 else "supports_stereo"
        return (Reason("input_channels", f"{entry.id} does not take {words}", path=f"capabilities.{field}"),)
    model_type = recipe.model_types.get(entry.runtime.model_type_on(recipe.id) or "")
    if model_type is None or channels in model_type.channels:
        return ()
    accepted = " or ".join(map(str, model_type.channels))
    hint = f"mix it to {accepted} channels first"
    return (Reason("input_channels", f"{entry.id} takes {accepted} channels, not {channels}", hint),)


def weights_reasons(entry: ModelEntry) -> tuple[Reason, ...]:
    """Say that a model has weights which its entry does not name: nothing would fetch them, or give them to the engine.

    A link alone names no file, and what it leads to may be a web page.
    """
    if entry.artifacts.primary is not None:
        return ()
    if entry.links.checkpoint is not None:
        words = f"the registry links to weights of {entry.id} but names no file: {entry.links.checkpoint}"
        hint = "`registry lint --fix` adds artifacts.primary where the link is a file's"
    elif entry.catalog_status == "manual_only":
        words = f"the registry names no weights of {entry.id}"
        hint = "find them, and add artifacts.primary to an entry in a registry file of your own"
    else:
        return ()
    return (Reason("weights_unnamed", words, hint, "artifacts.primary"),)


def phase_fix_reasons(reference: ModelEntry) -> tuple[Reason, ...]:
    """Say why a model may not be the reference of a phase fix; empty when it may."""
    if reference.phase_fix.is_valid_reference:
        return ()
    return (
        Reason(
            "phase_fix_reference_invalid",
            f"{reference.id} is not marked as a valid reference for a phase fix",
            hint="choose a model whose phase_fix.is_valid_reference is true",
            path="phase_fix.is_valid_reference",
        ),
    )


def entry_warnings(entry: ModelEntry) -> Iterator[Reason]:
    """Yield what the registry itself says against the model without forbidding it."""
    for index, issue in enumerate(entry.compatibility.known_issues):
        yield Reason("known_issue", issue, path=f"compatibility.known_issues[{index}]")
    if entry.catalog_status in {"candidate", "manual_only"}:
        words = {"candidate": "was not verified by the registry", "manual_only": "needs files that are added by hand"}
        yield Reason("not_verified", f"{entry.id} {words[entry.catalog_status]}", path="catalog_status")


def python_status(environment: EnvironmentPlan) -> RequirementStatus:
    """Answer for the Python that the environment would use."""
    choice = environment.python
    name = f"python {environment.requirements.python}"
    origins = [bound.source for bound in _bounds(environment)]
    if choice.minor is None:
        return _status(name, "unsatisfiable", choice.reasons[0].message if choice.reasons else choice.why, *origins)
    if choice.interpreter is None:
        return _status(name, "will_install", choice.why, *origins)
    return _status(name, "ok", choice.why, *origins)


def torch_status(environment: EnvironmentPlan) -> RequirementStatus | None:
    """Answer for torch, or None when nobody asks for it."""
    wanted = environment.requirements.torch
    if wanted is None:
        return None
    name = f"torch {wanted}"
    origins = [bound.source for bound in (wanted.lower, wanted.upper) if bound is not None]
    return _status(name, *_installation(environment, "torch"), *origins)


def package_statuses(environment: EnvironmentPlan) -> tuple[RequirementStatus, ...]:
    """Answer for every package that is asked for, with the version that the lock gives it."""
    return tuple(
        _status(want.text, *_installation(environment, want.text), want.source)
        for want in environment.requirements.packages_on(environment.target.family.name)
    )


def _installation(environment: EnvironmentPlan, requirement: str) -> tuple[Status, str]:
    version = _locked_version(environment, requirement)
    if environment.state == "impossible":
        against = next((reason for reason in environment.reasons if _is_about(reason, requirement)), None)
        if against is not None:
            return "unsatisfiable", against.message
        return "will_install", "after the other problems of the environment are solved"
    if environment.state == "ready":
        return "ok", f"{version} is in the environment" if version else "in the environment"
    if version:
        return "will_install", f"{version}, from the lock"
    return "will_install", "the version is chosen when the lock is made (--resolve does it now)"


def _is_about(reason: Reason, requirement: str) -> bool:
    """Say whether a reason against an environment speaks of one requirement."""
    if reason.code == UNSATISFIABLE and not reason.about:  # a resolver that names nobody speaks of all
        return True
    return canonicalize_name(Requirement(requirement).name) in reason.about


def _locked_version(environment: EnvironmentPlan, requirement: str) -> str | None:
    if environment.lock is None:
        return None
    name = canonicalize_name(Requirement(requirement).name)
    return next((pin.version for pin in environment.lock.lock.pins if pin.name == name), None)


def _bounds(environment: EnvironmentPlan) -> Iterator[Any]:
    for bound in (environment.requirements.python.lower, environment.requirements.python.upper):
        if bound is not None:
            yield bound


def _status(name: str, status: Status, reason: str, *origins: object) -> RequirementStatus:
    return RequirementStatus(name=name, status=status, reason=reason, origins=tuple(map(str, origins)))
