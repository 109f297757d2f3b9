"""What a checkpoint contained, as it is kept beside its converted form and printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256


class InertName(Document):
    """A class or function in a checkpoint that is not data, and was not imported or called."""

    name: str
    named: int
    """How often it is named."""
    called: int
    """How often it was to be called."""
    dangerous: bool
    """Whether calling it could reach files, processes, the network or other code."""
    harmless: bool
    """Whether checkpoints of data name it, and calling it reaches nothing. What is neither is code of others."""


class CheckpointReport(Document):
    """What a checkpoint contained, and what became of it."""

    schema_version: Literal[1] = 1
    input_sha256: Sha256
    input_bytes: int
    format: str
    """How it was written: ``zip`` (torch since 1.6), ``legacy`` (before), ``pickle`` (without torch)."""
    converter: str
    """The converter's version."""
    sandbox: str
    """The level that confined the conversion."""
    output_sha256: Sha256
    output_bytes: int
    tensors: int
    parameters: int
    """Elements of all tensors together; what several share counts once for each."""
    dtypes: Mapping[str, int]
    """How many tensors have each type."""
    arrays: int
    """Arrays of numpy's."""
    values: int
    """Everything else that was kept: numbers, texts, containers."""
    inert: tuple[InertName, ...]
    """The dangerous ones first, all of them."""
    left_out: tuple[str, ...]
    """What was not kept, in words."""

    @property
    def dangerous(self) -> tuple[str, ...]:
        """Names that a checkpoint of data has no use for."""
        return tuple(found.name for found in self.inert if found.dangerous)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of code of which nothing is known."""
        return tuple(found.name for found in self.inert if not found.dangerous and not found.harmless)


class InspectedCheckpoint(Document):
    """One checkpoint that was looked at."""

    name: str
    """Its file name."""
    report: CheckpointReport


class InspectReport(Document):
    """What checkpoints contain."""

    schema_version: Literal[1] = 1
    checkpoints: tuple[InspectedCheckpoint, ...]
