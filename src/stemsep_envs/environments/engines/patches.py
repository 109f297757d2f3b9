"""Applying a variant's patches to a tree: all of them, or a refusal that lists everything that stands against it.

Pure but for `read`, which returns a file of the tree. Nothing is written here: the answer is what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine import EngineFile
from stemsep_envs.documents.engine_source import PatchStep
from stemsep_envs.environments.engines.names import Names
from stemsep_envs.environments.engines.unified_diff import DiffError, apply_diff
from stemsep_envs.errors import InvalidDocumentError, MismatchError, Problem

_REWRITE = "compare the file with the one the patch was written for, then write the patch anew or pin the other commit"


class _DriftError(Exception):
    """The tree is not the one that the step was written for."""


class _StepError(Exception):
    """The step is wrong in itself: it does not fit the file that it names as its base."""


@dataclass
class _State:
    """The tree as the steps so far leave it."""

    files: Mapping[str, EngineFile]
    read: Callable[[str], bytes]
    names: Names
    changed: dict[str, bytes] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


def apply_patches(
    steps: Sequence[PatchStep],
    files: Mapping[str, EngineFile],
    read: Callable[[str], bytes],
    supplied: Mapping[int, bytes],
    *,
    title: str,
) -> Mapping[str, bytes]:
    """Return the new content of every file that the steps change or add.

    Args:
        steps: The patches, in order. A later step on the same file sees what the earlier one left.
        files: The tree.
        read: Returns the content of one of its files.
        supplied: By the index of a step, the file that it brings, already checked against its hash.
        title: What is patched, for messages.

    Raises:
        MismatchError: A file is not what a step was written for; every problem of every step is listed.
        InvalidDocumentError: Steps are wrong in themselves; every problem is listed.
    """
    state = _State(files, read, Names.of(files.values()))
    problems: list[Problem] = []
    drifted = False
    for index, step in enumerate(steps):
        if step.path in state.failed:
            continue  # it builds on what could not be made: whatever it met would say nothing of it
        try:
            state.changed[step.path] = _apply(step, state, supplied.get(index))
        except (_DriftError, _StepError) as error:
            state.failed.add(step.path)
            drifted = drifted or isinstance(error, _DriftError)
            problems.append(Problem(f"patches[{index}]", f"{step.kind} {step.path}: {error}"))
    if drifted:
        listed = "\n".join(f"  {problem}" for problem in problems)
        message = f"{title} is not the tree that its patches were written for:\n{listed}"
        raise MismatchError(message, hint=_REWRITE, code="patch_mismatch")
    if problems:
        raise InvalidDocumentError(f"the patches of {title}", tuple(problems), hint="correct them in the recipe")
    return state.changed


def _apply(step: PatchStep, state: _State, supplied: bytes | None) -> bytes:
    if step.kind == "add":
        return _added(step, state, supplied)
    base = _base(step, state)
    if step.kind == "substitute":
        return _substituted(base, step)
    if supplied is None:
        raise ValueError(f"nothing was supplied for the step on {step.path}")
    if step.kind == "replace":
        return supplied
    try:
        return apply_diff(base, supplied, step.path)
    except DiffError as error:
        raise _StepError(f"{step.source}: {error}") from None


def _added(step: PatchStep, state: _State, supplied: bytes | None) -> bytes:
    if step.path in state.files or step.path in state.changed:
        found = digest_of_bytes(_content(step.path, state))
        raise _DriftError(f"the file is there already, with sha256 {found}; a step of the kind replace changes it")
    clash = state.names.claim(step.path)
    if clash is not None:
        raise _DriftError(clash)
    if supplied is None:
        raise ValueError(f"nothing was supplied for the step on {step.path}")
    return supplied


def _base(step: PatchStep, state: _State) -> bytes:
    """Return the content that a step starts from, once it is known to be the one that the step was written for."""
    if step.path not in state.changed:
        if step.base_sha256 is None:
            raise ValueError(f"the step on {step.path} does not say what it starts from")
        file = state.files.get(step.path)
        if file is None:
            raise _DriftError(state.names.why_missing(step.path))
        if file.link is not None:
            raise _DriftError(f"it is a symbolic link to {file.link!r}; patch the file that it leads to")
    base = _content(step.path, state)
    found = digest_of_bytes(base)
    if step.base_sha256 is not None and found != step.base_sha256:
        raise _DriftError(f"expected sha256 {step.base_sha256}, found {found}")
    return base


def _content(path: str, state: _State) -> bytes:
    if path in state.changed:
        return state.changed[path]
    link = state.files[path].link
    return state.read(path) if link is None else link.encode()


def _substituted(base: bytes, step: PatchStep) -> bytes:
    """Replace the one text of those that the step names which is there, exactly as often as the step says."""
    # Without a base that the recipe names, the file is the model's own: what does not fit is then the file.
    refusal = _StepError if step.base_sha256 is not None else _DriftError
    whose = "" if step.base_sha256 is not None else f", in the file with sha256 {digest_of_bytes(base)}"
    there = [text for text in step.spellings if text.encode() in base]
    if len(there) > 1:
        raise refusal(f"several of the texts are there, and one is meant: {_quoted(there)}{whose}")
    if not there:
        ends = [text.replace("\n", "\r\n") for text in step.spellings if "\n" in text]
        if any(text.encode() in base for text in ends):
            raise refusal(rf"the text is there with lines that end in CRLF; write \r\n for each end{whose}")
        if len(step.spellings) > 1:
            raise refusal(f"none of the texts is there: {_quoted(step.spellings)}{whose}")
        raise refusal(f"the text is there nowhere, not {_times(step.count)}{whose}")
    wanted = there[0].encode()
    found = base.count(wanted)
    if found != step.count:
        raise refusal(f"the text is there {_times(found)}, not {_times(step.count)}{whose}")
    if _overlapping(base, wanted) != found:
        raise refusal(f"the text overlaps itself there, so that it is not clear which is meant{whose}")
    return base.replace(wanted, (step.replace or "").encode())


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(repr(text) for text in texts)


def _overlapping(base: bytes, wanted: bytes) -> int:
    count, at = 0, base.find(wanted)
    while at >= 0:
        count, at = count + 1, base.find(wanted, at + 1)
    return count


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
