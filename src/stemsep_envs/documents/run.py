"""The run record, ``run.json``: exactly what ran, on what, and what came out. Written last.

The same format is found beside a track's stems (telling that track), in the output folder (telling all tracks of the
last run there) and in the home's ``runs/<run-id>/``. Paths of outputs are relative to the output folder, so that it can
be moved as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from stemsep_envs.documents.artifacts import Trust
from stemsep_envs.documents.audio import AudioFormat, BitDepth
from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.fields import Field, StringConstraints
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.documents.target import Target

RunId = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$")]


class ToolVersion(Document):
    """This program."""

    name: Literal["stemsep-envs"] = "stemsep-envs"
    version: str


class RunModel(Document):
    """The model, and the digest of the registry entry it was read from."""

    id: str
    name: str
    architecture: str
    model_type: str | None
    entry_sha256: Sha256


class RunRuntime(Document):
    """The code that ran: engine adapter and worker, by digest."""

    id: str
    variant: str | None
    adapter_sha256: Sha256
    worker_sha256: Sha256
    engine_digest: Sha256 | None


class RunEnvironment(Document):
    """The environment it ran in."""

    digest: Sha256
    lock_sha256: Sha256
    python: str
    target: Target
    reused: bool
    adopted: str | None = None
    """The interpreter that was used as it was found; null when the environment was built from the lock."""


class ConvertedArtifact(Document):
    """What a checkpoint became before it was loaded."""

    converter: str
    """The converter's version."""
    sha256: Sha256
    """Of the converted form, which is what was loaded."""
    inert: tuple[str, ...]
    """Classes and functions that the checkpoint names beside its data; none was imported or called."""
    dangerous: tuple[str, ...]
    """Those among them that a checkpoint of data has no use for."""


class RunArtifact(Document):
    """One weight or config file that was loaded, and how its hash is known."""

    name: str
    filename: str
    sha256: Sha256
    size_bytes: int
    trust: Trust = "registry"
    url: str | None = None
    """Its address, without passwords; null when the entry gives none."""
    converted: ConvertedArtifact | None = None
    """Null where the file was loaded as it is."""


class ResolvedSetting(Document):
    """One setting as it was used, its unit, and where the value came from."""

    value: SettingValue | None
    unit: str | None
    source: str


class OutputOptions(Document):
    """How stems were to be written; what was asked for, defaults filled in."""

    format: AudioFormat
    bit_depth: BitDepth | None
    sample_rate: Literal["model", "source"] | int
    normalize: bool
    stems: tuple[str, ...] | None
    start_seconds: float | None
    duration_seconds: float | None


class RunSandbox(Document):
    """How the worker was confined, and what was measured of it."""

    required_level: str
    level: str
    lowered_by_flag: bool
    axes: Mapping[str, str]


class RunInput(Document):
    """One input file. Facts about its audio are the worker's; null when it could not be read."""

    path: str
    sha256: Sha256 | None
    size_bytes: int | None
    container: str | None = None
    subtype: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    frames: int | None = None
    duration_seconds: float | None = None


class RunOutput(Document):
    """One stem file, its digest and its shape (``frames`` per channel).

    ``peak`` is the largest absolute sample value, full scale 1.0, before the track's gain was applied.
    """

    stem: str
    path: str
    sha256: Sha256
    size_bytes: int
    format: AudioFormat
    subtype: str
    sample_rate: int
    channels: int
    frames: int
    peak: float


class TrackTimings(Document):
    """Where a track's time went, in seconds. ``overhead_seconds`` is what we added to the worker's own time."""

    decode_seconds: float
    separate_seconds: float
    encode_seconds: float
    worker_seconds: float
    overhead_seconds: float
    total_seconds: float


class RunTrack(Document):
    """One input, from request to stems."""

    status: Literal["done", "skipped", "failed", "cancelled"]
    input: RunInput
    start_frame: int | None = None
    frames: int | None = None
    outputs: tuple[RunOutput, ...] = ()
    gain: float | None = None
    gain_reason: Literal["clipping", "normalize"] | None = None
    warnings: tuple[Finding, ...] = ()
    settings: Mapping[str, ResolvedSetting] = {}
    """Those that differ from the run's, because memory ran out and the track was done again with smaller ones."""
    effective_settings: Mapping[str, SettingValue] = {}
    """What was in effect by the worker's word: also what the model's config or the engine chose, or rounded."""
    error: Finding | None = None
    exit_code: int = 0
    """What a run of this track alone would end with."""
    timings: TrackTimings | None = None
    peak_memory_bytes: Annotated[int, Field(ge=0)] | None = None
    record: str | None = None
    """Path of the track's own record, relative as the outputs are."""


class SessionTimings(Document):
    """What it took before the first track, in seconds."""

    preflight_seconds: float
    environment_seconds: float
    start_seconds: float
    load_seconds: float


class RunRecord(Document):
    """One run: one session's tracks with everything that went in."""

    schema_version: Literal[1] = 1
    run_id: RunId
    tool: ToolVersion
    started_at: str
    finished_at: str
    status: Literal["done", "failed", "cancelled"]
    exit_code: int
    model: RunModel
    runtime: RunRuntime
    environment: RunEnvironment | None
    """Null when no track needed one to be started."""
    device: str
    artifacts: tuple[RunArtifact, ...]
    settings: Mapping[str, ResolvedSetting]
    output: OutputOptions
    output_dir: str
    sandbox: RunSandbox
    enforcement: Literal["strict", "warn"]
    confirmed_manual_steps: bool
    overridden: tuple[Finding, ...] = ()
    """What would have blocked the run under strict enforcement."""
    timings: SessionTimings
    tracks: tuple[RunTrack, ...]
    settings_digest: Sha256 | None
    """Digest of everything but the input that shapes the stems: equal digests and equal inputs mean equal stems,
    but for tracks with `settings` of their own."""
