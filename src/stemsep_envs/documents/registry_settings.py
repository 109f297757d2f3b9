"""The parts of a registry entry that say how to run a model well: settings, tiers, and what their numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from stemsep_envs.documents.base import OpenDocument
from stemsep_envs.documents.fields import Field, ValidationInfo, field_validator
from stemsep_envs.documents.registry_values import (
    Amount,
    Count,
    Flag,
    Positive,
    RegistryRuntimeId,
    Scalar,
    Text,
    Whole,
)
from stemsep_envs.documents.vocabulary import Vocabulary

OverlapMeaning = Annotated[
    Text,
    Vocabulary(
        {
            "ratio": "shared part of a segment, 0 ≤ r < 1",
            "ratio_0_to_1": "the same as ratio",
            "divisor": "N: a segment starts every 1/N of its length",
            "chunk_overlap_divisor": "the same as divisor",
            "seconds": "shared part in seconds",
            "divisor_or_seconds": "the runtime's own unit of the two",
            "auto": "the runtime's own unit",
        }
    ),
]


class RecommendedSettings(OpenDocument):
    """How to run the model well. Further fields are settings of the runtime's own, by the names it declares."""

    open_by_design: ClassVar[bool] = True
    __pydantic_extra__: dict[str, Scalar]

    overlap: Amount | None = Field(None, description="In the unit that settings_semantics.overlap gives.")
    segment_size: Positive | None = Field(None, description="Length of a segment in samples.")
    batch_size: Positive | None = Field(None, description="Segments processed at once.")
    shifts: Count | None = Field(None, description="Random time shifts whose results are averaged; 0 is deterministic.")
    tta: Flag | None = Field(None, description="Whether to average over swapped channels and inverted polarity too.")
    bit_depth: Whole | None = Field(None, description="Bits of a sample in written stems; informational.")


class HardwareTier(OpenDocument):
    """Settings for a class of hardware."""

    tier: Annotated[
        Text, Vocabulary(dict.fromkeys(("low_vram", "mid_vram", "high_vram", "cpu_only"), ""))
    ] | None = Field(None, description="The class of hardware.")  # fmt: skip
    min_vram_gb: Amount | None = Field(None, description="Least device memory in GB, included.")
    max_vram_gb: Amount | None = Field(None, description="Most device memory in GB, included.")
    recommended_segment_size: Positive | None = Field(None, description="Length of a segment in samples.")
    recommended_overlap: Amount | None = Field(None, description="In the unit that settings_semantics.overlap gives.")
    notes: str | None = Field(None, description="For people.")

    @field_validator("max_vram_gb")
    @classmethod
    def _max_is_not_below_min(cls, value: float | None, info: ValidationInfo) -> float | None:
        lowest = info.data.get("min_vram_gb")
        if value is not None and lowest is not None and value < lowest:
            raise ValueError(f"{value:g} is below min_vram_gb {lowest:g}")
        return value


class OverlapSemantics(OpenDocument):
    """What a number under ``overlap`` means."""

    meaning_by_runtime: Mapping[RegistryRuntimeId, OverlapMeaning] = Field(
        default_factory=dict, description="The unit of overlap for each runtime."
    )
    notes: str | None = Field(None, description="For people.")


class SettingsSemantics(OpenDocument):
    """What numbers under settings mean."""

    overlap: OverlapSemantics = Field(default_factory=OverlapSemantics, description="The unit of overlap.")
