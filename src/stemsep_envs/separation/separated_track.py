"""A track as it goes into a session, and as it comes out: stems that nobody has published yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.protocol import SeparateResult
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import OutputOptions, ResolvedSetting
from stemsep_envs.separation.input_reading import Read
from stemsep_envs.worker.ingest import Ingested


@dataclass(frozen=True)
class TrackRequest:
    """What is to be separated.

    Attributes:
        source: The audio file.
        stems: Which stems are wanted.
        output: How they are written, and which part of the input is taken.
    """

    source: Path
    stems: tuple[str, ...]
    output: OutputOptions


@dataclass(frozen=True)
class SeparatedTrack:
    """A track's stems where the worker cannot reach them, and what is known of them.

    The files are the session's: they are gone at the end of the block that asked for them, unless they were moved.

    Attributes:
        request: What was asked for.
        stems: The file of each stem.
        read: The input's bytes, as the host read them.
        result: What the worker says of input and stems.
        settings: Settings that were changed for a retry after memory ran out.
        effective_settings: What the worker says that it runs with.
        warnings: What the session doubts; the worker's own are in ``result``.
        began: When the work began, by the monotonic clock, in seconds.
    """

    request: TrackRequest
    stems: Mapping[str, Ingested]
    read: Read
    result: SeparateResult
    settings: Mapping[str, ResolvedSetting]
    effective_settings: Mapping[str, object]
    warnings: tuple[Finding, ...]
    began: float
