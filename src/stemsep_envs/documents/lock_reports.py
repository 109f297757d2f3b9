"""What ``lock --json`` prints: every lock that was asked for, its state, and what changed."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.target import Target

LockState = Literal["current", "written", "stale", "failed"]


class PackageChange(Document):
    """One distribution that differs between two locks; ``files`` when only its hashes do."""

    name: str
    change: Literal["added", "removed", "version", "files"]
    before: str | None
    after: str | None


class LockAnswer(Document):
    """One lock that models need, and its state."""

    runtime: str
    variant: str | None
    models: tuple[str, ...]
    """The models that need it."""
    target: Target
    python: str
    inputs: Sha256
    """The digest of what the resolver is asked."""
    path: str | None
    """The file of the lock; null when there is none."""
    state: LockState
    """``current``: the file holds what is needed; ``written``: it does now; ``stale``: it must be made again;
    ``failed``: it could not be resolved."""
    packages: int | None = None
    changes: tuple[PackageChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Why it is stale, or why it failed."""
    output: str | None = None
    """The resolver's own words, when it failed."""
    command: str | None = None
    """The command line that repeats the failure."""


class SkippedLock(Document):
    """What was not locked, and why."""

    model: str
    runtime: str | None
    target: Target | None
    reason: str


class LockReport(Document):
    """The whole answer."""

    schema_version: Literal[1] = 1
    action: Literal["resolve", "check"]
    locks: tuple[LockAnswer, ...]
    skipped: tuple[SkippedLock, ...]
    strangers: tuple[str, ...] = ()
    """Lock files beside the others that no model needs any more."""
    written: tuple[str, ...] = ()
    """Files that were written."""
