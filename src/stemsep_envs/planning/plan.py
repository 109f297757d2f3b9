"""A model resolved for this machine: what the user said, what came of it, and the report that tells both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stemsep_envs.artifacts.model_files import ToFetch
from stemsep_envs.artifacts.policy import UnknownHash
from stemsep_envs.documents.checkpoint import CheckpointReport
from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.documents.preflight import PreflightReport
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.registry_execution import PickleUse
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import ResolvedSetting, RunArtifact
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.errors import BlockedError, Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.confinement import Confinement
from stemsep_envs.planning.engine import PlannedEngine
from stemsep_envs.registry.recipes import Runtime
from stemsep_envs.sandbox.policy import Level, LevelName, Limits

Enforcement = Literal["strict", "warn"]


@dataclass(frozen=True)
class PlanOptions:
    """What the user says about how a model is to be resolved; the defaults say nothing.

    Attributes:
        registry_path: The registry file; None for the one in use.
        runtime: A runtime to insist on.
        target: ``auto``, a whole target, or an accelerator (``cpu``, ``cuda``, ``cu128``) of this platform.
        offline: Forbid the network.
        confirm_manual_steps: The model's manual steps are done.
        enforcement: ``strict`` refuses; ``warn`` lets what can be overridden pass, and records it.
        sandbox_level: The level to confine with.
        allow_level: A lower level that is accepted.
        options: Settings that have options of their own: overlap (ratio), segment (seconds), batch_size, shifts, tta,
            precision.
        assignments: ``name=value`` for the engine's own settings.
        phase_fix_reference: A model to take the phase from.
        builder: What builds an environment that has to be built.
        resolve: Ask the resolver where no lock is there yet, so that the answer is certain.
        unknown_hash: What is done about files whose hash nobody knows; None: as the environment variable says.
    """

    registry_path: Path | None = None
    runtime: str | None = None
    target: str = "auto"
    offline: bool = False
    confirm_manual_steps: bool = False
    enforcement: Enforcement = "strict"
    sandbox_level: LevelName | None = None
    allow_level: LevelName | None = None
    options: Mapping[str, SettingValue] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()
    phase_fix_reference: str | None = None
    builder: BuilderName | None = None
    resolve: bool = False
    unknown_hash: UnknownHash | None = None


@dataclass(frozen=True)
class PlannedArtifact:
    """A file of the model that is here, and what the record says of it."""

    record: RunArtifact
    path: Path
    kind: str
    format: Literal["raw", "tree"] = "raw"
    pickle: PickleUse = "convert"
    converted: CheckpointReport | None = None
    """What the checkpoint contained, where ``path`` is its converted form."""


@dataclass(frozen=True)
class Plan:
    """A model resolved for this machine.

    Attributes:
        to_fetch: Its files that are not here and can be fetched; once none is left, the plan can be carried out.
        stems: The stems it makes, as the registry or its model type says; empty when neither does.
        entry_sha256: Digest of the registry entry's canonical form.
        overridden: What strict enforcement would have refused.
    """

    home: Home
    entry: ModelEntry
    entry_sha256: str
    runtime: Runtime
    variant: str | None
    model_type: str | None
    target: Target
    settings: Mapping[str, ResolvedSetting]
    artifacts: tuple[PlannedArtifact, ...]
    to_fetch: tuple[ToFetch, ...]
    stems: tuple[str, ...]
    engine: PlannedEngine | None
    environment: EnvironmentPlan
    sandbox: Confinement
    level: Level
    limits: Limits
    enforcement: Enforcement
    confirmed_manual_steps: bool
    offline: bool
    overridden: tuple[Finding, ...]
    report: PreflightReport

    @property
    def artifact_hashes(self) -> Mapping[str, str | None]:
        """The hash of each file by its name; None while nobody knows it."""
        resolved = self.report.resolved
        return {status.name: status.sha256 for status in resolved.artifacts} if resolved is not None else {}


@dataclass(frozen=True)
class Preflight:
    """The answer: always a report, and a plan when there is enough to carry out."""

    report: PreflightReport
    plan: Plan | None


def planning_from(options: Mapping[str, Any]) -> PlanOptions:
    """Return the planning options among a command line's parsed options."""
    names = ("overlap", "segment", "batch_size", "shifts", "tta", "precision")
    return PlanOptions(
        registry_path=options.get("registry_path"),
        runtime=options.get("runtime"),
        target="auto" if options.get("target") is None else options["target"],
        offline=bool(options.get("offline")),
        confirm_manual_steps=bool(options.get("confirm_manual_steps")),
        enforcement=options.get("enforce") or "strict",
        sandbox_level=options.get("sandbox_level"),
        allow_level=options.get("allow_level"),
        options={name: options[name] for name in names if options.get(name) is not None},
        assignments=tuple(options.get("assignments") or ()),
        phase_fix_reference=options.get("phase_fix_reference"),
        builder=options.get("builder"),
        resolve=bool(options.get("resolve")),
        unknown_hash=options.get("unknown_hash"),
    )


def refuse_if_blocked(preflight: Preflight) -> Plan:
    """Return the plan of a model that may run.

    Raises:
        BlockedError: It may not; carries every reason.
    """
    report = preflight.report
    if preflight.plan is None or not report.can_proceed:
        reasons = tuple(Reason(**dict(error)) for error in report.errors)
        raise BlockedError(f"{report.model_id} cannot run here", reasons)
    return preflight.plan
