"""Run records: what is told of a run, where it is kept, and whether an earlier one still answers for its stems."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from stemsep_envs._version import __version__
from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.documents.run import (
    ConvertedArtifact,
    RunArtifact,
    RunEnvironment,
    RunModel,
    RunRecord,
    RunRuntime,
    RunSandbox,
    RunTrack,
    SessionTimings,
    ToolVersion,
)
from stemsep_envs.documents.writing import json_text
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.errors import InvalidDocumentError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.plan import Plan, PlannedArtifact
from stemsep_envs.separation.code_digests import CodeDigests
from stemsep_envs.separation.output_names import TrackNames
from stemsep_envs.separation.output_options import OutputPlan

RECORD_NAME = "run.json"


@dataclass(frozen=True)
class RunFrame:
    """What all tracks of a run have in common. ``environment`` is None until one is needed."""

    run_id: str
    started_at: str
    plan: Plan
    environment: Environment | None
    output: OutputPlan
    code: CodeDigests
    timings: SessionTimings

    @cached_property
    def settings_digest(self) -> str | None:
        """The digest of everything but the inputs that shapes the stems; None until there is an environment."""
        if self.environment is None:
            return None
        return settings_digest(self.plan, self.environment.digest, self.output, self.code)


def new_run_id() -> str:
    """Return an id that sorts by time: ``20261120T153000Z-1a2b3c4d``."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def now_text() -> str:
    """Return the time as RFC 3339 text, in UTC."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def settings_digest(plan: Plan, environment_digest: str, output: OutputPlan, code: CodeDigests) -> str:
    """Return the digest of everything but the input that shapes the stems."""
    return digest_of(
        {
            "model": plan.entry.id,
            "model_type": plan.model.model_type,
            "variant": plan.model.variant,
            "adapter": code.adapter,
            "worker": code.worker,
            "environment": environment_digest,
            "device": plan.model.target.device,
            "artifacts": plan.artifact_hashes,
            "settings": {name: setting.value for name, setting in plan.settings.items()},
            "output": output.options.model_dump(mode="json", exclude={"stems"}),
            "stems": sorted(output.options.stems) if output.options.stems else None,
        }
    )


def _artifact(planned: PlannedArtifact) -> RunArtifact:
    report = planned.converted
    if report is None:
        return planned.record
    converted = ConvertedArtifact(
        converter=report.converter,
        sha256=report.output_sha256,
        inert=tuple(found.name for found in report.inert),
        dangerous=report.dangerous,
    )
    return planned.record.model_copy(update={"converted": converted})


def build_record(frame: RunFrame, tracks: Sequence[RunTrack], *, status: str, exit_code: int) -> RunRecord:
    """Put a record together; ``status`` is ``done``, ``failed`` or ``cancelled``."""
    plan, environment = frame.plan, frame.environment
    return RunRecord.model_validate(
        {
            "run_id": frame.run_id,
            "tool": ToolVersion(version=__version__),
            "started_at": frame.started_at,
            "finished_at": now_text(),
            "status": status,
            "exit_code": exit_code,
            "model": RunModel(
                id=plan.entry.id,
                name=plan.entry.name,
                architecture=plan.entry.architecture,
                model_type=plan.model.model_type,
                entry_sha256=plan.model.entry_sha256,
            ),
            "runtime": RunRuntime(
                id=plan.runtime.recipe.id,
                variant=plan.model.variant,
                adapter_sha256=frame.code.adapter,
                worker_sha256=frame.code.worker,
                engine_digest=environment.receipt.inputs.engine if environment else None,
            ),
            "environment": environment and _environment(environment),
            "device": plan.model.target.device,
            "artifacts": tuple(map(_artifact, plan.artifacts)),
            "settings": dict(plan.settings),
            "output": frame.output.options,
            "output_dir": str(frame.output.dir),
            "sandbox": RunSandbox(
                required_level=plan.model.sandbox.required,
                level=plan.level,
                lowered_by_flag=plan.model.sandbox.lowered_by_flag,
                axes=plan.model.sandbox.axes,
            ),
            "enforcement": plan.options.enforcement,
            "confirmed_manual_steps": plan.options.confirm_manual_steps,
            "overridden": plan.overridden,
            "timings": frame.timings,
            "tracks": tuple(tracks),
            "settings_digest": frame.settings_digest,
        }
    )


def _environment(environment: Environment) -> RunEnvironment:
    inputs = environment.receipt.inputs
    return RunEnvironment(
        digest=environment.digest,
        lock_sha256=inputs.lock,
        python=inputs.interpreter.version,
        target=inputs.target,
        reused=environment.reused,
        adopted=environment.receipt.adopted.python if environment.receipt.adopted else None,
    )


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record, whole or not at all."""
    write_atomic(path, json_text(record).encode() + b"\n")


def keep_record(home: Home, output_dir: Path | None, record: RunRecord) -> None:
    """Write the record of a whole run: into the output folder, if one is given, and among the home's runs."""
    if output_dir is not None:
        write_record(output_dir / RECORD_NAME, record)
    write_record(home.runs_dir / record.run_id / RECORD_NAME, record)


def answering_track(
    output: OutputPlan, names: TrackNames, *, wanted_digest: str | None, input_sha256: str
) -> RunTrack | None:
    """Return the earlier track whose stems are still what this request would make, or None.

    It answers only when its record is whole, made with the same settings from the same bytes, and every stem is there
    unchanged.
    """
    path = output.dir / names.record
    if wanted_digest is None or not path.is_file():
        return None
    try:
        record = parse_json(path.read_bytes(), RunRecord, origin=str(path))
    except (InvalidDocumentError, OSError):
        return None
    if record.settings_digest != wanted_digest or len(record.tracks) != 1:
        return None
    track = record.tracks[0]
    places = {stem: str(place) for stem, place in names.stems.items()}
    if track.input.sha256 != input_sha256 or {made.stem: made.path for made in track.outputs} != places:
        return None
    return (
        track
        if all(_unchanged(output.dir / made.path, made.sha256, made.size_bytes) for made in track.outputs)
        else None
    )


def _unchanged(path: Path, sha256: str, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes and sha256_of(path)[0] == sha256
    except OSError:
        return False
