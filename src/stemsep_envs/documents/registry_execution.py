"""The parts of a registry entry that decide where a model runs: runtime, requirements, artifacts, capabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from packaging.version import Version

from stemsep_envs.documents.accelerator_family import Family
from stemsep_envs.documents.accelerators import FAMILY_NAMES, NUMBERED
from stemsep_envs.documents.base import OpenDocument
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.document_type import document_class
from stemsep_envs.documents.fields import AfterValidator, Field, ValidationInfo, field_validator
from stemsep_envs.documents.registry_values import (
    Amount,
    Count,
    FileName,
    Flag,
    Link,
    ModelId,
    Number,
    PackageRequirement,
    RegistryRuntimeId,
    RelativePath,
    Text,
    VersionNumber,
    refuse_repeated,
)
from stemsep_envs.documents.vocabulary import Vocabulary

Stem = Annotated[
    Text,
    Field(max_length=64, pattern=r"^[^/\\\x00-\x1f\x7f]+$"),
    Vocabulary(
        dict.fromkeys(
            (
                "vocals", "instrumental", "drums", "bass", "other", "guitar", "piano", "keys", "lead", "back", "crowd",
                "speech", "sfx", "effects", "music", "restored", "target", "residual", "harmonic", "percussive",
                "centre", "sides", "dry", "reverb", "noreverb", "noise", "no_noise", "bleed", "male", "female",
                "kick", "snare", "toms", "hh", "ride", "crash", "cymbals", "drum-bass", "no drum-bass", "similarity",
                "difference",
            ),
            "",
        )
    ),
]  # fmt: skip

Role = Annotated[
    Text,
    Vocabulary(
        dict.fromkeys(
            (
                "separation", "phase_fix_reference", "karaoke", "denoise", "dereverb", "decrowd", "drumsep", "upsample",
                "sfx", "speech", "restoration",
            ),
            "",
        )
    ),
]  # fmt: skip

ArtifactKind = Annotated[
    Text,
    Vocabulary(
        {
            "checkpoint": "trained weights",
            "config": "the engine's configuration of the model",
            "onnx": "weights and graph in ONNX form",
            "yaml": "a further YAML file",
            "json": "a further JSON file",
            "patch": "a file that a variant's patches put into the engine",
            "aux": "anything else the engine reads",
        }
    ),
]

Stems = Annotated[tuple[Stem, ...], AfterValidator(refuse_repeated)]


class Links(OpenDocument):
    """Where the model comes from."""

    checkpoint: Link | None = Field(None, description="URL of the weights.")
    config: Link | None = Field(None, description="URL of the engine's configuration (YAML or JSON).")
    homepage: Link | None = Field(None, description="A page for people.")


PickleUse = Literal["convert", "full"]


class Artifact(OpenDocument):
    """A file the model needs: what it is, its name, and how to know that it is the right one."""

    kind: ArtifactKind = Field(description="What the file is.")
    filename: FileName = Field(description="The name the engine finds it under; a plain file name.")
    sha256: Sha256 | None = Field(
        None, description="Its SHA-256 in lower-case hexadecimal; null while nobody knows it."
    )
    size: Count | None = Field(None, description="Its size in bytes.")
    size_bytes: Count | None = Field(None, description="The same as size, under the name that public registries use.")
    url: Link | None = Field(
        None, description="Where to fetch it; absent, links.checkpoint or links.config is meant for primary and config."
    )
    mirrors: tuple[Link, ...] = Field((), description="Other places with the same bytes, tried in order.")
    member: RelativePath | None = Field(
        None,
        description="Its path in the archive (zip or tar) that url and mirrors give; sha256 and size are its own.",
    )
    pickle: PickleUse = Field(
        "convert",
        description="What becomes of a checkpoint in pickle form: convert makes it safetensors before it is loaded; "
        "full hands it to an engine that insists on unpickling it, at the namespaces level or above.",
    )

    @property
    def expected_bytes(self) -> int | None:
        """The file's size, under whichever name the entry gives it; None when it is not known."""
        return self.size if self.size is not None else self.size_bytes

    @field_validator("size_bytes")
    @classmethod
    def _sizes_agree(cls, value: int | None, info: ValidationInfo) -> int | None:
        size = info.data.get("size")
        if value is not None and size is not None and value != size:
            raise ValueError(f"is {value}, but size is {size}")
        return value


class Artifacts(OpenDocument):
    """The files of a model."""

    primary: Artifact | None = Field(None, description="The weights.")
    config: Artifact | None = Field(None, description="The engine's configuration.")
    additional: tuple[Artifact, ...] = Field((), description="Further files.")

    def each(self) -> Iterator[tuple[str, Artifact]]:
        """Yield every artifact with its path below ``artifacts``: ``primary``, ``config``, ``additional[0]`` …."""
        if self.primary is not None:
            yield "primary", self.primary
        if self.config is not None:
            yield "config", self.config
        for index, artifact in enumerate(self.additional):
            yield f"additional[{index}]", artifact


class RuntimeChoice(OpenDocument):
    """Which engines may run the model, and what they must be told."""

    allowed: Annotated[tuple[RegistryRuntimeId, ...], AfterValidator(refuse_repeated)] = Field(
        description="Runtimes that may run it; empty only when the model is blocked or exists online only."
    )
    preferred: RegistryRuntimeId | None = Field(None, description="The one to take unless the user names another.")
    preferred_reason: str | None = Field(None, description="Why that one, where several may run it.")
    blocking_reason: str | None = Field(None, description="Why runtimes that are not allowed are refused.")
    variant: Text | None = Field(None, description="Named set of patches and pins on the runtime.")
    engine: Text | None = Field(None, description="What kind of engine build is meant; informational.")
    model_type: Text | None = Field(None, description="The runtime's word for the kind of model.")
    model_types: Mapping[RegistryRuntimeId, Text] = Field(
        default_factory=dict, description="The words of runtimes that call the kind of model otherwise, by runtime."
    )
    devices: tuple[Text, ...] = Field((), description=f"Accelerators it is known to run on: {', '.join(FAMILY_NAMES)}.")
    install_mode: Text | None = Field(None, description="How its files get here: direct, manual.")
    install_burden: Text | None = Field(None, description="How much work that is: low, medium, high.")
    requires_manual_assets: Flag | None = Field(None, description="Whether some files must be put in by hand.")
    required_files: tuple[RelativePath, ...] = Field((), description="Files it cannot run without.")
    hosts: tuple[Text, ...] = Field((), description="Programs that are known to run it.")
    required: tuple[Text, ...] = Field(
        (), description=f"What must be on the host: python, torch, {FAMILY_NAMES[0]} …; informational."
    )
    fallbacks: tuple[Text, ...] = Field((), description="Devices that were seen to work too; never taken silently.")
    checkpoint_ref: Text | None = Field(None, description="The checkpoint's name in the origin's own terms.")
    config_ref: Text | None = Field(None, description="The config's name in the origin's own terms.")
    requires_custom_repo_file: tuple[Text, ...] = Field((), description="Engine files that the model replaces.")
    requires_patch: Flag | None = Field(None, description="Whether the stock engine cannot run it.")
    patch_profile: Text | None = Field(None, description="The origin's name for that patch.")

    @field_validator("preferred")
    @classmethod
    def _preferred_is_allowed(cls, value: str | None, info: ValidationInfo) -> str | None:
        allowed = info.data.get("allowed")
        if value is not None and allowed and value not in allowed:
            raise ValueError(f"{value!r} is not in allowed ({', '.join(allowed)})")
        return value

    def model_type_on(self, runtime_id: str) -> str | None:
        """Return a runtime's word for the kind of model, or None when the registry does not say."""
        return self.model_types.get(runtime_id, self.model_type)

    def model_type_path(self, runtime_id: str) -> str:
        """Return the field of the entry that `model_type_on` reads for a runtime."""
        return f"runtime.model_types.{runtime_id}" if runtime_id in self.model_types else "runtime.model_type"


class VersionRange(OpenDocument):
    """A range of versions, both ends included; ``max: "3.12"`` admits 3.12.7."""

    min: VersionNumber | None = Field(None, description="Lowest version, included (PEP 440).")
    max: VersionNumber | None = Field(None, description="Highest version, included with its patch releases (PEP 440).")

    @field_validator("max")
    @classmethod
    def _max_is_not_below_min(cls, value: str | None, info: ValidationInfo) -> str | None:
        lowest = info.data.get("min")
        # 3.12 as the highest admits 3.12.7, so a lowest of 3.12.7 is no contradiction.
        if value and lowest and Version(value) < Version(lowest) and not f"{lowest}.".startswith(f"{value}."):
            raise ValueError(f"{value} is below min {lowest}")
        return value


class _TorchRequirement(VersionRange):
    """Which torch the model needs."""

    def builds(self) -> Mapping[str, tuple[str, ...]]:
        """Return the builds that are named, by family of accelerators; a family of which none is has no entry."""
        named = {family.name: getattr(self, family.name) for family in NUMBERED}
        return {name: builds for name, builds in named.items() if builds}


def _builds_field(family: Family) -> Any:
    spellings = f"{family.example} or {family.example.removeprefix(family.prefix)}"
    words = f"{family.title} builds it is known to run with, such as {spellings}."
    return (tuple[Text, ...], Field((), description=words))


if TYPE_CHECKING:
    TorchRequirement: TypeAlias = _TorchRequirement
else:
    TorchRequirement = document_class(
        "TorchRequirement",
        _TorchRequirement,
        {family.name: _builds_field(family) for family in NUMBERED},
        module=__name__,
    )
    """One list of builds for each family that has numbered ones: ``cuda``, ``rocm``."""


class PipRequirement(OpenDocument):
    """Python packages beyond the runtime's own."""

    packages: tuple[PackageRequirement, ...] = Field((), description="PEP 508 requirements.")


class FileRequirement(OpenDocument):
    """Files of the engine tree."""

    expects: tuple[RelativePath, ...] = Field((), description="Files that must be there.")
    provides: tuple[RelativePath, ...] = Field((), description="Files that the model brings.")


class Requirements(OpenDocument):
    """What the model needs beyond its runtime."""

    python: VersionRange = Field(default_factory=VersionRange, description="Python versions.")
    torch: TorchRequirement = Field(default_factory=TorchRequirement, description="Torch versions and builds.")
    pip: PipRequirement = Field(default_factory=PipRequirement, description="Python packages.")
    files: FileRequirement = Field(default_factory=FileRequirement, description="Files of the engine tree.")
    manual_steps: tuple[Text, ...] = Field(
        (), description="What a person must do first; each blocks until it is confirmed or a variant's patches do it."
    )


class PhaseFixParameters(OpenDocument):
    """Parameters of a phase fix."""

    lowHz: Amount | None = Field(None, description="Below this frequency in Hz the reference's phase is taken whole.")  # noqa: N815
    highHz: Amount | None = Field(None, description="Above this frequency in Hz highFreqWeight applies.")  # noqa: N815
    highFreqWeight: Number | None = Field(None, description="Weight of the reference above highHz.")  # noqa: N815

    @field_validator("highHz")
    @classmethod
    def _high_is_above_low(cls, value: float | None, info: ValidationInfo) -> float | None:
        low = info.data.get("lowHz")
        if value is not None and low is not None and value < low:
            raise ValueError(f"{value:g} is below lowHz {low:g}")
        return value


class PhaseFix(OpenDocument):
    """The model's part in phase fixing."""

    is_valid_reference: Flag | None = Field(None, description="Whether other models may take their phase from it.")
    recommended_params: PhaseFixParameters = Field(default_factory=PhaseFixParameters, description="Parameters.")
    recommended_usage: tuple[Text, ...] = Field((), description="For people.")
    reference_model_id: ModelId | None = Field(None, description="The model to take the phase from.")
    references: Mapping[Text, tuple[ModelId, ...]] = Field(
        default_factory=dict, description="Models to take the phase from, by stem."
    )


class Capabilities(OpenDocument):
    """What the model can do."""

    stems: Stems = Field((), description="Stems it makes.")
    roles: tuple[Role, ...] = Field((), description="What it is used for.")
    supports_mono: Flag | None = Field(None, description="Whether it takes one channel; null when nobody says.")
    supports_stereo: Flag | None = Field(None, description="Whether it takes two channels; null when nobody says.")

    @field_validator("supports_stereo")
    @classmethod
    def _some_input_fits(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        if value is False and info.data.get("supports_mono") is False:
            raise ValueError("neither mono nor stereo is supported")
        return value
