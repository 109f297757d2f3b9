"""The preflight report: will this model run here, how, and if not, why. DESIGN section 6."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from stemsep_envs.documents.artifacts import Trust
from stemsep_envs.documents.base import Document
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.documents.target import Target

Status = Literal["ok", "will_install", "will_fetch", "missing", "unsatisfiable"]
EnvironmentState = Literal["ready", "to_fetch", "to_build", "to_lock", "impossible"]


class RequirementStatus(Document):
    """Whether one requirement is met here, and the reason for the answer."""

    name: str
    status: Status
    reason: str
    origins: tuple[str, ...] = ()
    """Who asks for it: ``runtime dsp``, ``model x: requirements.python``."""


class RequirementsStatus(Document):
    """All of a model's requirements on this host."""

    python: RequirementStatus
    torch: RequirementStatus | None
    packages: tuple[RequirementStatus, ...]
    files: tuple[RequirementStatus, ...]
    manual_steps: tuple[RequirementStatus, ...]


class ArtifactStatus(Document):
    """One file the model needs, and whether it is here."""

    name: str
    kind: str
    filename: str
    status: Status
    reason: str
    sha256: str | None = None
    size_bytes: int | None = None
    trust: Trust | None = None
    """How its hash is known; null while it is not."""
    source: str | None = None
    """Where it would be, or was, fetched from first; null when there is no place."""


class EnvironmentAnswer(Document):
    """The environment the model would run in. ``digest`` is null until its lock and engine are known."""

    digest: str | None
    state: EnvironmentState


class SandboxAnswer(Document):
    """How the worker would be confined. ``axes`` says for each axis what was measured."""

    required_level: str
    level: str | None
    reason: str
    axes: Mapping[str, str]


class Resolved(Document):
    """How the model would run."""

    runtime: str
    runtime_reason: str
    variant: str | None
    target: Target
    target_reason: str
    device: str
    settings: Mapping[str, SettingValue | None]
    settings_source: Mapping[str, str]
    settings_unit: Mapping[str, str | None]
    artifacts: tuple[ArtifactStatus, ...]
    requirements_status: RequirementsStatus
    environment: EnvironmentAnswer
    sandbox: SandboxAnswer


class PreflightReport(Document):
    """The whole answer. ``resolved`` is null when not even a runtime could be chosen."""

    schema_version: Literal[1] = 1
    model_id: str
    can_proceed: bool
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    resolved: Resolved | None
    input: Mapping[str, Any] | None = None
    """What the header of the input says (container, channels, sample rate), when one was named."""
