"""What ``ensure --json`` prints: the environment of every model, and whether it was there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.target import Target


class EnsuredModel(Document):
    """One model, ready to run."""

    model_id: str
    runtime: str
    variant: str | None
    target: Target
    environment: Sha256
    environment_dir: str
    python: str
    """The environment's interpreter."""
    reused: bool
    steps_seconds: Mapping[str, float] = {}
    """What each step took; empty when the environment was there."""
    artifacts: tuple[str, ...] = ()
    """Paths of the verified files that the model needs."""


class EnsureReport(Document):
    """All models that were asked for, in order."""

    schema_version: Literal[1] = 1
    models: tuple[EnsuredModel, ...]
