"""The registry, ``models.v2.source.json``: what each model is, where it may run, what it needs, how to run it well.

The sections of an entry are in ``registry_execution`` (where it runs), ``registry_settings`` (how to run it well) and
``registry_evidence`` (what people and catalogues want to know); this module joins them and parses whole files.

A registry is additive: a field or a word that this version does not know is kept and warned about
(`registry_warnings`), because tomorrow's file must be read today. What contradicts itself or could not be used by
anyone is an error, and all errors of a file are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from stemsep_envs.documents.base import OpenDocument, load_json, parse_json, refuse_at, unknown_fields, validate_in_bulk
from stemsep_envs.documents.collector import collection_paused
from stemsep_envs.documents.fields import AfterValidator, Field, ValidationInfo, field_validator
from stemsep_envs.documents.problems import bounded, dotted_path
from stemsep_envs.documents.registry_evidence import (
    Availability,
    CardMetrics,
    CatalogStatus,
    ChunkOverlapPolicy,
    Compatibility,
    Download,
    Install,
    Metrics,
    MetricsEvidence,
    MetricsStatus,
    Notes,
    OperatingProfile,
    Paper,
    QualityProfile,
    Status,
)
from stemsep_envs.documents.registry_execution import (
    Artifacts,
    Capabilities,
    Links,
    PhaseFix,
    Requirements,
    RuntimeChoice,
    Stems,
)
from stemsep_envs.documents.registry_settings import HardwareTier, RecommendedSettings, SettingsSemantics
from stemsep_envs.documents.registry_values import (
    Amount,
    Link,
    ModelId,
    Number,
    Positive,
    RegistryRuntimeId,
    Scalar,
    Text,
    TextOrTexts,
    Timestamp,
)
from stemsep_envs.documents.vocabulary import Vocabulary, unfamiliar_values
from stemsep_envs.errors import InvalidDocumentError, Problem

Architecture = Annotated[
    Text,
    Vocabulary(
        dict.fromkeys(
            (
                "BS-Roformer", "Mel-Roformer", "MDX23C", "MDX-Net", "VR", "Demucs", "HTDemucs", "SCNet", "Apollo",
                "BandIt", "DSP", "Other",
            ),
            "",
        )
    ),
]  # fmt: skip


class ModelEntry(OpenDocument):
    """One model of the registry."""

    id: ModelId = Field(description="The name that commands take; lower case, unique in the registry.")
    name: Text = Field(description="The name for people.")
    type: str | None = Field(None, description="Category for people.")
    architecture: Architecture = Field(description="Family of the model; never used for routing.")
    description: str | None = Field(None, description="What it does, for people.")
    tags: tuple[Text, ...] = Field((), description="Words to filter by.")
    stems: Stems = Field((), description="Stems it makes, in order.")
    links: Links = Field(description="Where the model comes from.")
    homepage: Link | None = Field(None, description="Older place of links.homepage.")
    trust: Literal["reviewed", "unreviewed"] = Field(
        "unreviewed",
        description="Whether the model's code and weights were read by those who publish this registry. Unreviewed "
        "models are confined as hostile.",
    )
    papers: tuple[Paper, ...] = Field((), description="Publications that describe the method.")
    artifacts: Artifacts = Field(default_factory=Artifacts, description="The files of the model.")
    metrics: Metrics = Field(default_factory=Metrics, description="Separation quality as published.")
    sdr: Number | None = Field(None, description="Older place of metrics.sdr.")
    fullness: Number | None = Field(None, description="Older place of metrics.fullness.")
    bleedless: Number | None = Field(None, description="Older place of metrics.bleedless.")
    card_metrics: CardMetrics | None = Field(None, description="Three labelled values for a catalogue card.")
    catalog_status: CatalogStatus | None = Field(None, description="How far the entry can be relied on.")
    metrics_status: MetricsStatus | None = Field(None, description="Where the metrics come from.")
    metrics_evidence: tuple[MetricsEvidence, ...] = Field((), description="Sources of the metrics.")
    guide_rank: Positive | None = Field(None, description="Place in the guide's order; 1 is first.")
    guide_notes: tuple[Text, ...] = Field((), description="What the guide says.")
    guide_revision: str | None = Field(None, description="Which revision of the guide says so.")
    vram_required: Amount | None = Field(None, description="Device memory it takes, roughly, in GB.")
    recommended_settings: RecommendedSettings = Field(
        default_factory=RecommendedSettings, description="How to run it well; applied unless overridden."
    )
    settings_semantics: SettingsSemantics = Field(
        default_factory=SettingsSemantics, description="What the numbers under settings mean."
    )
    runtime_settings: Mapping[RegistryRuntimeId, Mapping[Text, Scalar]] = Field(
        default_factory=dict, description="What the model is run with on one runtime, in that runtime's own terms."
    )
    hardware_tiers: tuple[HardwareTier, ...] = Field((), description="Settings by device memory.")
    status: Status = Field(default_factory=Status, description="How far the model is known to run.")
    runtime: RuntimeChoice = Field(description="Which engines may run it. The only thing that decides routing.")
    install: Install | None = Field(None, description="How the application of origin installs it.")
    download: Download | None = Field(None, description="How the application of origin downloads it.")
    availability: Availability | None = Field(None, description="Whether its files are available.")
    compatibility: Compatibility = Field(default_factory=Compatibility, description="Other programs that run it.")
    requirements: Requirements = Field(default_factory=Requirements, description="What it needs beyond its runtime.")
    phase_fix: PhaseFix = Field(default_factory=PhaseFix, description="Its part in phase fixing.")
    capabilities: Capabilities = Field(default_factory=Capabilities, description="What it can do.")
    quality_profile: QualityProfile | None = Field(None, description="Where it stands among others.")
    quality_role: TextOrTexts | None = Field(None, description="Its part in ensembles.")
    quality_axes: Mapping[Text, Scalar] | None = Field(None, description="Ratings by axis, most from 1 to 10.")
    best_for: tuple[Text, ...] = Field((), description="Material it suits.")
    artifacts_risk: tuple[Text, ...] = Field((), description="Audible artefacts to expect.")
    content_fit: tuple[Text, ...] = Field((), description="Material it was tried on.")
    vram_profile: str | None = Field(None, description="The hardware tier it is made for.")
    chunk_overlap_policy: ChunkOverlapPolicy | None = Field(None, description="Defaults of its engine family.")
    operating_profiles: Mapping[Text, OperatingProfile] | None = Field(None, description="Settings by aim.")
    workflow_groups: tuple[Text, ...] = Field((), description="Workflows it belongs to.")
    workflow_roles: tuple[Text, ...] = Field((), description="Its parts in workflows.")
    stability_notes: tuple[Text, ...] = Field((), description="What is known about its stability.")
    inferred: Mapping[Text, Text] = Field(
        default_factory=dict, description="Fields whose values nobody publishes for the model: how each was concluded."
    )
    notes: Notes | None = Field(None, description="Remarks of the tools that made the entry.")

    @field_validator("artifacts")
    @classmethod
    def _file_names_differ(cls, value: Artifacts) -> Artifacts:
        seen: dict[str, str] = {}
        clashes = []
        for path, artifact in value.each():
            other = seen.setdefault(artifact.filename.casefold(), path)
            if other != path:
                words = f"{artifact.filename!r} is the file name of artifacts.{other} too"
                clashes.append((_location(path, "filename"), words))
        refuse_at(clashes)
        return value

    @field_validator("runtime")
    @classmethod
    def _runs_somewhere_or_is_blocked(cls, value: RuntimeChoice, info: ValidationInfo) -> RuntimeChoice:
        catalog_status = info.data.get("catalog_status")
        runs = catalog_status != "online_only" and not _is_blocked(catalog_status, info.data.get("status"))
        if not value.allowed and runs:
            refuse_at([(("allowed",), "must name a runtime, as the model is not blocked")])
        return value

    @property
    def blocked(self) -> bool:
        """Whether the registry says that the model must not be run."""
        return _is_blocked(self.catalog_status, self.status)


def _is_blocked(catalog_status: str | None, status: Status | None) -> bool:
    # runtime.blocking_reason does not count: it says why *other* runtimes are refused.
    return catalog_status == "blocked" or (status is not None and status.readiness == "blocked")


class RegistrySource(OpenDocument):
    """What made the registry file."""

    tool: str | None = Field(None, description="The program.")
    repo: str | None = Field(None, description="Its repository.")
    commit: str | None = Field(None, description="The commit it ran at.")
    notes: str | None = Field(None, description="For people.")


def _readable_version(value: str) -> str:
    if value.partition(".")[0] != "2":
        raise ValueError(f"{value!r} cannot be read: this program reads registries of version 2.x")
    return value


class RegistryHead(OpenDocument):
    """What a registry file says of itself, around its models."""

    version: Annotated[Text, Field(pattern=r"^[0-9]+(\.[0-9]+)*$"), AfterValidator(_readable_version)] = Field(
        description="Version of the format, 2.x.", examples=["2.0"]
    )
    generated_at: Timestamp = Field(description="When the file was made (RFC 3339).")
    source: RegistrySource | None = Field(None, description="What made it.")
    guide_revision: str | None = Field(None, description="Revision of the guide that recommendations follow.")


class Registry(RegistryHead):
    """A whole registry file. Read one with `parse_registry`, which also refuses ids that are used twice."""

    models: tuple[ModelEntry, ...] = Field(description="The models, in the order of the catalogue.")


def parse_registry(data: bytes | str, *, origin: str) -> Registry:
    """Parse a whole registry.

    Args:
        data: The file's content.
        origin: What to call it in messages, usually its path.

    Raises:
        InvalidDocumentError: With every problem, each at its dotted path, repeated ids included.
    """
    with collection_paused():
        value = load_json(data, origin=origin)
        problems = list(repeated_ids(value))
        try:
            registry = validate_in_bulk(value, Registry, origin=origin)
        except InvalidDocumentError as error:
            problems = [*error.problems, *problems]
    if problems:
        raise InvalidDocumentError(origin, bounded(problems))
    return registry


def parse_entry(data: bytes, *, origin: str, path: str) -> ModelEntry:
    """Parse the text of one entry; ``path`` (``models[3]``) leads the paths of its problems.

    Raises:
        InvalidDocumentError: With every problem of the entry.
    """
    try:
        return parse_json(data, ModelEntry, origin=origin)
    except InvalidDocumentError as error:
        located = [Problem(_below(path, problem.path), problem.message) for problem in error.problems]
        raise InvalidDocumentError(origin, tuple(located)) from None


def registry_warnings(registry: Registry) -> Iterator[Problem]:
    """Yield what is kept although this version does not know it: fields, words of vocabularies, schemes of links.

    Also references for a phase fix that the registry does not hold or does not call valid.
    """
    for field in unknown_fields(registry):
        yield Problem(field, "this version does not know the field; it is kept as it is")
    yield from unfamiliar_values(registry)
    valid = {entry.id: bool(entry.phase_fix.is_valid_reference) for entry in registry.models}
    for index, entry in enumerate(registry.models):
        for path, reference in _phase_references(entry):
            if reference not in valid:
                yield Problem(f"models[{index}].{path}", f"{reference!r} is not in this registry")
            elif not valid[reference]:
                yield Problem(f"models[{index}].{path}", f"{reference!r} is not marked as a valid phase-fix reference")


def repeated_ids(value: Any) -> Iterator[Problem]:
    """Yield a problem for each use of an id after its first, in an already-read registry of any shape."""
    models = value.get("models") if isinstance(value, dict) else None
    first: dict[str, int] = {}
    for index, entry in enumerate(models if isinstance(models, list) else ()):
        model_id = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(model_id, str) and first.setdefault(model_id, index) != index:
            yield Problem(f"models[{index}].id", f"{model_id!r} is the id of models[{first[model_id]}] too")


def _phase_references(entry: ModelEntry) -> Iterator[tuple[str, str]]:
    fix = entry.phase_fix
    if fix.reference_model_id is not None:
        yield "phase_fix.reference_model_id", fix.reference_model_id
    for stem, references in fix.references.items():
        for index, reference in enumerate(references):
            yield dotted_path((stem, index), "phase_fix.references"), reference


def _location(artifact_path: str, field: str) -> tuple[str | int, ...]:
    name, _, index = artifact_path.rstrip("]").partition("[")
    return (name, int(index), field) if index else (name, field)


def _below(path: str, inner: str) -> str:
    return path + inner if inner.startswith("[") or not inner else f"{path}.{inner}"
