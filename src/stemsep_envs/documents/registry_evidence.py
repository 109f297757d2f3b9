"""The parts of a registry entry that describe a model to people and catalogues: metrics, status, downloads, papers.

Nothing here decides how a model runs, except that a status can say it is blocked.
"""

from __future__ import annotations

from typing import Annotated

from stemsep_envs.documents.base import OpenDocument
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.fields import Field
from stemsep_envs.documents.registry_values import (
    Count,
    Date,
    FileName,
    Flag,
    Link,
    Number,
    Positive,
    RelativePath,
    Scalar,
    Text,
)
from stemsep_envs.documents.vocabulary import Vocabulary

CatalogStatus = Annotated[
    Text,
    Vocabulary(
        {
            "verified": "runs, and its files are known",
            "candidate": "listed, not yet verified",
            "manual_only": "files must be obtained by hand",
            "blocked": "must not be run",
            "online_only": "exists as an online service only",
        }
    ),
]

MetricsStatus = Annotated[
    Text,
    Vocabulary(
        {
            "verified": "measured",
            "guide_curated": "taken from a guide",
            "vendor_matched": "taken from the publisher",
            "missing_evidence": "no source is known",
        }
    ),
]

Readiness = Annotated[
    Text,
    Vocabulary(
        {
            "verified": "runs as described",
            "experimental": "may run",
            "manual": "runs after manual steps",
            "blocked": "must not be run",
        }
    ),
]

AvailabilityWord = Annotated[
    Text,
    Vocabulary(
        {
            "direct": "every file has an address",
            "mirror_fallback": "a mirror stands in for an address that is gone",
            "manual_import": "files must be obtained by hand",
            "blocked_non_public": "the files are not public",
        }
    ),
]


class Paper(OpenDocument):
    """A publication that describes the method."""

    title: Text = Field(description="Its title.")
    authors: tuple[Text, ...] = Field((), description="Its authors, in order.")
    year: Positive | None = Field(None, description="Year of publication.")
    venue: Text | None = Field(None, description="Conference or journal, with volume and pages where it has them.")
    url: Link | None = Field(None, description="Where to read it.")
    doi: Text | None = Field(None, description="Its DOI, without the resolver's address.")


class Metrics(OpenDocument):
    """Separation quality as published; which test set is told by metrics_evidence."""

    sdr: Number | None = Field(None, description="Signal-to-distortion ratio in dB.")
    fullness: Number | None = Field(None, description="How much of the target is kept; higher is better.")
    bleedless: Number | None = Field(None, description="How little of the other sources is left; higher is better.")
    aura_stft: Number | None = Field(None, description="STFT distance of the aura loss family.")
    aura_mrstft: Number | None = Field(None, description="Multi-resolution STFT distance of the aura loss family.")
    log_wmse: Number | None = Field(None, description="Logarithm of the weighted mean squared error.")


class MetricsEvidence(OpenDocument):
    """Where a metric comes from."""

    source: Text = Field(description="Who says so.")
    url: Link | None = Field(None, description="Where it is said.")
    note: Text = Field(description="What exactly is said.")
    verified_at: Date = Field(description="When this was last looked at.")


class CardMetrics(OpenDocument):
    """Three labelled values for a catalogue card."""

    kind: Annotated[Text, Vocabulary(dict.fromkeys(("standard", "special", "status"), ""))] = Field(
        description="What the values are."
    )
    primary_target: Text = Field(description="The stem or purpose that is rated.")
    labels: tuple[Text, ...] = Field(description="What each value is called.")
    values: tuple[Scalar, ...] = Field(description="The values, one for each label.")
    source: Text = Field(description="Who says so.")
    evidence_url: Link | None = Field(None, description="Where it is said.")
    evidence_note: str | None = Field(None, description="What exactly is said.")
    last_verified: Date = Field(description="When this was last looked at.")


class Status(OpenDocument):
    """How far the entry can be relied on."""

    readiness: Readiness | None = Field(None, description="How far the model is known to run.")
    simple_allowed: Flag | None = Field(None, description="Whether simple user interfaces should offer it.")
    blocking_reason: str | None = Field(None, description="Why not, or why it is blocked.")
    curated: Flag | None = Field(None, description="Whether a curator looked after the entry.")
    support_tier: Annotated[
        Text, Vocabulary(dict.fromkeys(("curated", "supported_advanced"), ""))
    ] | None = Field(None, description="Who it is offered to.")  # fmt: skip


class Compatibility(OpenDocument):
    """Other programs that run the model."""

    uvr_compatible: Flag | None = Field(None, description="Ultimate Vocal Remover.")
    audio_separator_compatible: Flag | None = Field(None, description="python-audio-separator.")
    msst_compatible: Flag | None = Field(None, description="Music-Source-Separation-Training.")
    known_issues: tuple[Text, ...] = Field((), description="What is known to go wrong.")


class QualityProfile(OpenDocument):
    """Where the model stands among others for the same purpose."""

    target_roles: tuple[Text, ...] = Field((), description="Purposes it is compared for.")
    quality_tier: Annotated[
        Text, Vocabulary(dict.fromkeys(("fast", "balanced", "quality", "ultra"), ""))
    ] | None = Field(None, description="Its place between speed and quality.")  # fmt: skip
    deterministic_priority: Positive | None = Field(None, description="Order among equals; 1 comes first.")


class OperatingProfile(OpenDocument):
    """Settings for one aim, in the units of recommended_settings."""

    segment_size: Positive | None = Field(None, description="Length of a segment in samples.")
    overlap: Number | None = Field(None, description="In the unit that settings_semantics.overlap gives.")
    shifts: Count | None = Field(None, description="Random time shifts whose results are averaged.")
    notes: tuple[Text, ...] = Field((), description="For people.")


class ChunkOverlapPolicy(OpenDocument):
    """Default segment and overlap of an engine family."""

    default_segment_size: Positive | None = Field(None, description="Length of a segment in samples.")
    default_overlap: Number | None = Field(None, description="In the unit that settings_semantics.overlap gives.")
    notes: tuple[Text, ...] = Field((), description="For people.")


class Install(OpenDocument):
    """How the application of origin installs the model."""

    mode: Annotated[Text, Vocabulary(dict.fromkeys(("direct", "manual", "custom_runtime"), ""))] | None = Field(
        None, description="How its files get there."
    )
    notes: tuple[Text, ...] = Field((), description="For people.")


class DownloadSource(OpenDocument):
    """One place a file can be fetched from."""

    url: Link = Field(description="Its address.")
    role: Text | None = Field(None, description="Which file it is.")
    channel: Annotated[Text, Vocabulary(dict.fromkeys(("upstream", "mirror"), ""))] | None = Field(
        None, description="Whose copy it is."
    )
    priority: Positive | None = Field(None, description="Order of trying; 1 comes first.")
    auth: Annotated[Text, Vocabulary(dict.fromkeys(("none", "hf_token"), ""))] | None = Field(
        None, description="What the host asks for."
    )
    verified: Flag | None = Field(None, description="Whether somebody fetched it.")
    host: Text | None = Field(None, description="The host's name.")
    manual: Flag | None = Field(None, description="Whether a person must fetch it.")


class DownloadArtifact(OpenDocument):
    """One file of a download plan."""

    kind: Text = Field(description="What the file is.")
    filename: FileName = Field(description="Its name.")
    relative_path: RelativePath = Field(description="Where the application of origin keeps it.")
    required: Flag | None = Field(None, description="Whether the model needs it.")
    manual: Flag | None = Field(None, description="Whether a person must fetch it.")
    source: Link | None = Field(None, description="Its address.")
    sources: tuple[DownloadSource, ...] = Field((), description="All its addresses.")
    sha256: Sha256 | None = Field(None, description="Its SHA-256 in lower-case hexadecimal.")
    size_bytes: Count | None = Field(None, description="Its size in bytes.")
    channel: Text | None = Field(None, description="Whose copy it is.")
    auth: Text | None = Field(None, description="What the host asks for.")
    verified: Flag | None = Field(None, description="Whether somebody fetched it.")


class Download(OpenDocument):
    """The download plan of the application of origin."""

    strategy: AvailabilityWord | None = Field(None, description="How the files can be obtained.")
    mode: Text | None = Field(None, description="The same, in older words.")
    install_mode: Text | None = Field(None, description="How they are installed.")
    family: Text | None = Field(None, description="Folder family of the install path.")
    artifact_count: Count | None = Field(None, description="How many files there are.")
    downloadable_artifact_count: Count | None = Field(None, description="How many of them have an address.")
    manual_instructions: tuple[Text, ...] = Field((), description="What a person must do.")
    sources: tuple[DownloadSource, ...] = Field((), description="Addresses.")
    artifacts: tuple[DownloadArtifact, ...] = Field((), description="Files.")


class Availability(OpenDocument):
    """Whether the files are available at all."""

    availability_class: AvailabilityWord = Field(alias="class", description="How they can be obtained.")
    reason: str | None = Field(None, description="Why not otherwise.")


class Migration(OpenDocument):
    """What an older registry said."""

    origin: Text | None = Field(None, alias="from", description="Which registry the entry was made from.")
    legacy_fields_present: tuple[Text, ...] = Field((), description="Fields it had there.")


class StrictSpec(OpenDocument):
    """Remarks of the generator of origin on routing."""

    routing_default: Text | None = Field(None, description="The rule it applied.")
    blocked_reason: Text | None = Field(None, description="Why it blocked the model.")


class Notes(OpenDocument):
    """Remarks of the tools that made the entry."""

    migration: Migration | None = Field(None, description="What an older registry said.")
    strict_spec: StrictSpec | None = Field(None, description="Remarks on routing.")
