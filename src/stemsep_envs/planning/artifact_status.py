"""Preflight's answer for the files of a model: here, to be fetched, or not available, and why."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stemsep_envs.artifacts.blobs import BlobState, blob_path, blob_state
from stemsep_envs.artifacts.model_files import (
    Known,
    ToFetch,
    Wanted,
    origin_of,
    size_conflict,
    wanted_files,
    what_is_known,
)
from stemsep_envs.artifacts.places import is_below, is_hub_secure, local_path, shown_address
from stemsep_envs.artifacts.policy import (
    UNKNOWN_HASH_CHOICES,
    UNKNOWN_HASH_VARIABLE,
    UnknownHash,
    usable_addresses,
)
from stemsep_envs.documents.addresses import Address
from stemsep_envs.documents.preflight import ArtifactStatus, Status
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.run import RunArtifact
from stemsep_envs.errors import Reason, UsageError
from stemsep_envs.host.paths import Home


@dataclass(frozen=True)
class ArtifactAnswers:
    """The model's files.

    Attributes:
        statuses: One for each file, in the entry's order.
        reasons: Why some are not available.
        found: Those that are here, with what the record says of them.
        to_fetch: Those that can be fetched.
        warnings: What the user should know of them.
    """

    statuses: tuple[ArtifactStatus, ...]
    reasons: tuple[Reason, ...]
    found: tuple[tuple[RunArtifact, Path], ...]
    to_fetch: tuple[ToFetch, ...] = ()
    warnings: tuple[Reason, ...] = ()


@dataclass
class _Answer:
    status: Status
    reason: str
    reasons: list[Reason] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    found: tuple[RunArtifact, Path] | None = None
    to_fetch: ToFetch | None = None


def unknown_hash_policy(asked: UnknownHash | None) -> UnknownHash:
    """Return what is done about unknown hashes: what was asked for, else what the environment says, else ``secure``.

    Raises:
        UsageError: The variable holds no policy.
    """
    if asked is not None:
        return asked
    named = os.environ.get(UNKNOWN_HASH_VARIABLE) or "secure"
    for choice in UNKNOWN_HASH_CHOICES:
        if named == choice:
            return choice
    raise UsageError(
        f"{UNKNOWN_HASH_VARIABLE}={named} is not a policy", hint=f"one of {', '.join(UNKNOWN_HASH_CHOICES)}"
    )


def answer_artifacts(
    entry: ModelEntry,
    home: Home,
    *,
    files_below: Path | None,
    offline: bool = False,
    policy: UnknownHash = "secure",
) -> ArtifactAnswers:
    """Answer for each file of a model. Nothing is fetched; files that changed since they were verified are read.

    Args:
        entry: The model.
        home: Where files are kept.
        files_below: The folder whose files the entry may name by address alone; None where it may name any.
        offline: Whether nothing is fetched.
        policy: What is done about unknown hashes.

    Raises:
        MismatchError: The index of addresses is damaged.
    """
    statuses, answers = [], []
    for wanted in wanted_files(entry):
        known = what_is_known(home, wanted)
        answer = _answer(wanted, known, home, files_below=files_below, offline=offline, policy=policy)
        answers.append(answer)
        statuses.append(
            ArtifactStatus(
                name=wanted.name,
                kind=wanted.kind,
                filename=wanted.filename,
                status=answer.status,
                reason=answer.reason,
                sha256=known.sha256,
                size_bytes=answer.found[0].size_bytes if answer.found else _size(known),
                trust=known.trust,
                source=_source(wanted, answer),
            )
        )
    return ArtifactAnswers(
        tuple(statuses),
        tuple(reason for answer in answers for reason in answer.reasons),
        tuple(answer.found for answer in answers if answer.found is not None),
        tuple(answer.to_fetch for answer in answers if answer.to_fetch is not None),
        tuple(warning for answer in answers for warning in answer.warnings),
    )


def _answer(
    wanted: Wanted, known: Known, home: Home, *, files_below: Path | None, offline: bool, policy: UnknownHash
) -> _Answer:
    path = f"artifacts.{wanted.name}"
    state: BlobState = "absent" if known.sha256 is None else blob_state(home, known.sha256)
    warnings = []
    if known.is_superseded and known.entry is not None:
        words = (
            f"{wanted.filename}: the registry names another sha256 than was {origin_of(known.entry)}, and is followed"
        )
        warnings.append(Reason("artifact_superseded", words, path=path))
    if state == "whole":
        return _here(wanted, known, home, warnings)
    if state == "damaged":
        words = f"the stored {wanted.filename} does not match its hash"
        warnings.append(Reason("artifact_damaged", words, hint="`artifacts verify` sets such files aside", path=path))
    hash_known = known.sha256 is not None
    allowed = tuple(a for a in wanted.addresses if hash_known or not _is_outside(a, files_below))
    if wanted.addresses and not allowed:
        return _outside(wanted, files_below, warnings)
    usable = usable_addresses(allowed, policy, hash_known=hash_known, secure_hub=is_hub_secure())
    reachable = tuple(address for address in usable.addresses if _is_reachable(address, home, offline=offline))
    if not reachable:
        return _missing(wanted, usable.refused, warnings, offline=offline)
    if known.sha256 is None:
        words = (
            f"the hash of {wanted.filename} is unknown: what {_host(reachable[0])} gives first is trusted from now on"
        )
        hint = "--unknown-hash refuse forbids it; `artifacts add` takes a file that you checked yourself"
        warnings.append(Reason("artifact_first_use", words, hint=hint, path=path))
        hub = reachable[0].hub
        if hub is not None and not hub.is_pinned:
            words = f"{wanted.filename} is named by the branch or tag {hub.revision!r}, which can change"
            hint = f"name a commit: hf://{hub.owner}/{hub.name}@<40 hexadecimal digits>/..., or state the sha256"
            warnings.append(Reason("artifact_unpinned", words, hint=hint, path=path))
    reason = f"from {_host(reachable[0])}"
    return _Answer("will_fetch", reason, warnings=warnings, to_fetch=ToFetch(wanted, reachable))


def _here(wanted: Wanted, known: Known, home: Home, warnings: list[Reason]) -> _Answer:
    if known.sha256 is None or known.trust is None:
        raise TypeError("a file without a hash is not here")
    place = blob_path(home, known.sha256)
    size = place.stat().st_size
    record = RunArtifact(
        name=wanted.name,
        filename=wanted.filename,
        sha256=known.sha256,
        size_bytes=size,
        trust=known.trust,
        url=wanted.url if wanted.addresses else None,
    )
    by_registry = known.trust == "registry" or known.entry is None
    how = "here, by its hash" if by_registry or known.entry is None else f"here, {origin_of(known.entry)}"
    answer = _Answer("ok", how, warnings=warnings, found=(record, place))
    conflict = size_conflict(wanted, known.sha256, size)
    if conflict is not None:
        hint = "correct the registry's size"
        answer.reasons.append(Reason("artifact_metadata_conflict", conflict, hint, f"artifacts.{wanted.name}"))
    return answer


def _missing(wanted: Wanted, refused: str, warnings: list[Reason], *, offline: bool) -> _Answer:
    """Answer for a file that is not available: say which of the possible causes it is, and what to do."""
    path = f"artifacts.{wanted.name}"
    by_hand = _by_hand(wanted)
    if refused and not offline:
        words = f"{wanted.filename}: {refused}"
        hint = f"--unknown-hash first-use trusts what comes first; or add it: {by_hand}"
        reason = Reason("artifact_unknown_hash", words, hint, path)
    elif not wanted.addresses and wanted.problems:
        words = f"{wanted.filename} has no address that gives a file: {'; '.join(wanted.problems)}"
        reason = Reason("artifact_is_page", words, f"get it by hand and add it: {by_hand}", path)
    elif not wanted.addresses:
        words = f"{wanted.filename} is not here, and the registry has no address for it"
        reason = Reason("artifact_missing", words, f"get it by hand and add it: {by_hand}", path)
    elif offline:
        words = f"{wanted.filename} is not here, and --offline forbids fetching it from {_host(wanted.addresses[0])}"
        by_url = f"stemsep-env artifacts add --url {shlex.quote(wanted.url)} FILE"
        hint = f"fetch it elsewhere and add it: {by_hand if '***' in wanted.url else by_url}"
        reason = Reason("artifact_missing", words, hint, path)
    else:
        words = f"{wanted.filename} is not here, and not at {shown_address(wanted.addresses[0])}"
        reason = Reason("artifact_missing", words, f"add it: {by_hand}", path)
    return _Answer("missing", reason.message, [reason], warnings)


def _is_outside(address: Address, files_below: Path | None) -> bool:
    return address.scheme == "file" and files_below is not None and not is_below(address, files_below)


def _outside(wanted: Wanted, files_below: Path | None, warnings: list[Reason]) -> _Answer:
    """Answer for a file of this machine that the registry has no business with: a worker could read it then."""
    words = (
        f"{wanted.filename} is to be {wanted.addresses[0].path}, a file of this machine outside of the registry's "
        f"folder {files_below}, and the registry does not state its sha256"
    )
    hint = f"if you want the model to have that file: {_by_hand(wanted)}; or state its sha256"
    reason = Reason("artifact_outside", words, hint, f"artifacts.{wanted.name}")
    return _Answer("missing", reason.message, [reason], warnings)


def _by_hand(wanted: Wanted) -> str:
    return f"stemsep-env artifacts add --model {wanted.model_id} --name {shlex.quote(wanted.name)} FILE"


def _is_reachable(address: Address, home: Home, *, offline: bool) -> bool:
    if address.is_remote:
        return not offline
    try:
        return local_path(address, home).is_file()
    except (UsageError, OSError):
        return False


def _host(address: Address) -> str:
    """Say in a word or two where an address leads."""
    if address.hub is not None:
        kind = f"{address.hub.kind}/" if address.hub.kind else ""
        return f"the hub's {kind}{address.hub.owner}/{address.hub.name}"
    words = {"s3": f"bucket {address.host}", "file": address.path, "local": f"the model store's {address.path}"}
    return words.get(address.scheme, address.host)


def _size(known: Known) -> int | None:
    return known.entry.size_bytes if known.entry is not None and not known.is_superseded else known.size_bytes


def _source(wanted: Wanted, answer: _Answer) -> str | None:
    addresses: Sequence[Address] = answer.to_fetch.addresses if answer.to_fetch else wanted.addresses
    return shown_address(addresses[0]) if addresses else None
