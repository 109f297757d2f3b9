"""What ``run --dry-run --json`` prints: every input, what would become of it, and where its stems would go."""

from __future__ import annotations

from typing import Literal

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.preflight import PreflightReport
from stemsep_envs.documents.reports import Finding

Action = Literal["separate", "skip", "fail"]


class DryTrack(Document):
    """One input, what would be done with it, and its outputs in order, relative to the output folder."""

    input: str
    action: Action
    outputs: tuple[str, ...]
    error: Finding | None = None


class DryRunReport(Document):
    """The whole plan of a run."""

    schema_version: Literal[1] = 1
    preflight: PreflightReport
    output_dir: str
    tracks: tuple[DryTrack, ...]
