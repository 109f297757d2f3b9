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
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.run import ResolvedSetting, RunArtifact
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.errors import BlockedError, Reason
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.checks import Answers, InputAnswer
from stemsep_envs.planning.confinement import Confinement
from stemsep_envs.planning.enforcement import Enforcement
from stemsep_envs.planning.engine import PlannedEngine
from stemsep_envs.registry.recipes import Runtime
from stemsep_envs.registry.settings import Settings
from stemsep_envs.sandbox.level_table import LevelName
from stemsep_envs.sandbox.policy import Limits


@dataclass(frozen=True)
class PlanOptions:
    """What the user says about how a model is to be resolved; the defaults say nothing.

    Attributes:
        registry_path: The registry file; None for the one in use.
        runtime: A runtime to insist on.
        target: ``auto``, a whole target, or an accelerator of this platform (a family or a build).
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
class ResolvedModel:
    """A model with all that is chosen for it and does not depend on what its files are.

    Attributes:
        home: Where environments, files and records are.
        options: What the user said.
        entry: The registry's entry.
        entry_sha256: Digest of the entry's canonical form.
        runtime: The runtime that executes it.
        runtime_reason: What decided on the runtime.
        model_type: The runtime's word for the kind of model.
        requirements: What its environment must hold, and who asks.
        target: What the environment is made for.
        target_reason: Why that target.
        settings: What it runs with, each value with its source.
        sandbox: How its worker is confined.
        manual_steps: Whether what a person must do first is done.
        input: What the header of an input says, where one was named.
        reasons: What speaks against the model so far.
    """

    home: Home
    options: PlanOptions
    entry: ModelEntry
    entry_sha256: str
    runtime: Runtime
    runtime_reason: str
    model_type: str
    requirements: Requirements
    target: Target
    target_reason: str
    settings: Settings
    sandbox: Confinement
    manual_steps: Answers
    input: InputAnswer
    reasons: tuple[Reason, ...] = ()

    @property
    def variant(self) -> str | None:
        """The variant of the runtime."""
        return self.entry.runtime.variant


@dataclass(frozen=True)
class Plan:
    """A model resolved for this machine: plain data, which `plan_json` writes and reads back in another process.

    Attributes:
        model: The model, and what is chosen for it whatever its files are.
        artifacts: Its files that are here.
        to_fetch: Its files that are not here and can be fetched; once none is left, the plan can be carried out.
        engine: The source tree that its runtime needs, if any.
        environment: The environment that serves it, and what has to be done for it.
        limits: What the worker is held to.
        overridden: What strict enforcement would have refused.
        report: The answer for people and programs.
    """

    model: ResolvedModel
    artifacts: tuple[PlannedArtifact, ...]
    to_fetch: tuple[ToFetch, ...]
    engine: PlannedEngine | None
    environment: EnvironmentPlan
    limits: Limits
    overridden: tuple[Finding, ...]
    report: PreflightReport

    @property
    def home(self) -> Home:
        """Where environments, files and records are."""
        return self.model.home

    @property
    def options(self) -> PlanOptions:
        """What the user said."""
        return self.model.options

    @property
    def entry(self) -> ModelEntry:
        """The registry's entry."""
        return self.model.entry

    @property
    def runtime(self) -> Runtime:
        """The runtime that executes the model."""
        return self.model.runtime

    @property
    def settings(self) -> Mapping[str, ResolvedSetting]:
        """What the model runs with."""
        return self.model.settings.values

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems it makes, as the registry or its model type says; empty when neither does."""
        return self.entry.stems or self.runtime.recipe.model_types[self.model.model_type].stems or ()

    @property
    def level(self) -> LevelName:
        """The sandbox level of its worker.

        Raises:
            ValueError: There is none: preflight refused the model.
        """
        if self.model.sandbox.level is None:
            raise ValueError(f"{self.entry.id} has no sandbox")
        return self.model.sandbox.level

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
