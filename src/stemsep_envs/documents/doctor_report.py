"""What ``doctor --json`` prints: this host, what it offers to models, and what to do for more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.target import Target


class HomeFacts(Document):
    """Where this program keeps things."""

    path: str
    exists: bool
    writable: bool
    free_bytes: int | None
    environments: int


class AcceleratorFacts(Document):
    """A build of torch that runs here, or does not, and why."""

    accelerator: str
    why: str


class RuntimeTarget(Document):
    """The target that a runtime's models run on here when nobody asks for another and they allow it."""

    runtime: str
    target: Target | None
    why: str


class InterpreterFacts(Document):
    """A Python that environments can be made of."""

    path: str
    version: str
    implementation: str


class LevelFacts(Document):
    """A sandbox level as it was measured here."""

    level: str
    available: bool
    axes: Mapping[str, str]
    reason: str
    remedy: str | None


class DoctorReport(Document):
    """The whole host."""

    schema_version: Literal[1] = 1
    version: str
    python: str
    platform: str
    processor_count: int | None
    memory_bytes: int | None
    home: HomeFacts
    registry: str
    registry_models: int | None
    runtimes: tuple[str, ...]
    accelerators: tuple[AcceleratorFacts, ...]
    """Best first."""
    unusable: tuple[AcceleratorFacts, ...]
    """The others that are known."""
    targets: tuple[RuntimeTarget, ...]
    interpreters: tuple[InterpreterFacts, ...]
    uv: str | None
    container_engine: str | None
    sandbox: tuple[LevelFacts, ...]
    advice: tuple[Finding, ...]
    """What to do, most important first."""
