"""What the record tells of a track: the input as the host read it, the stems as taken, the worker's timings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsep_envs.documents.protocol import SeparateResult
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunInput, RunOutput, TrackTimings
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.errors import UsageError
from stemsep_envs.host.files import sha256_of
from stemsep_envs.separation.output_names import TrackNames
from stemsep_envs.separation.output_options import OutputPlan
from stemsep_envs.worker.ingest import Ingested

_SETTING_CHARACTERS = 200


@dataclass(frozen=True)
class Read:
    """An input read through: its digest and size, and whether it stayed the same meanwhile."""

    sha256: str
    size_bytes: int
    changed: bool


def read_through(source: Path, check: Callable[[], None] | None = None) -> Read:
    """Read an input to its end.

    Args:
        source: The input.
        check: Called after every block; may raise to stop.

    Raises:
        UsageError: It is not there, or cannot be read.
    """
    try:
        before = source.stat()
        sha256, size_bytes = sha256_of(source, check=check)
        after = source.stat()
    except OSError as error:
        code = "input_missing" if isinstance(error, FileNotFoundError) else "input_unreadable"
        raise UsageError(f"cannot read {source}: {error.strerror}", hint="check the path", code=code) from None
    changed = (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)
    return Read(sha256, size_bytes, changed)


def worker_warnings(result: SeparateResult, read: Read) -> tuple[Finding, ...]:
    """Return what the worker warned of, and whether the input was changed meanwhile."""
    warnings = [Finding(code=warning.code, message=warning.message) for warning in result.warnings]
    if read.changed:
        warnings.append(Finding(code="input_changed", message="the input was changed while it was being read"))
    return tuple(warnings)


def input_facts(source: Path, read: Read, result: SeparateResult) -> RunInput:
    """Return what is known of an input: its bytes by our own reading, its audio by the worker's."""
    facts = result.input
    return RunInput(
        path=str(source),
        sha256=read.sha256,
        size_bytes=read.size_bytes,
        container=facts.container,
        subtype=facts.subtype,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        frames=facts.frames,
        duration_seconds=facts.duration_seconds,
    )


def output_facts(
    result: SeparateResult, taken: Mapping[str, Ingested], names: TrackNames, output: OutputPlan
) -> tuple[RunOutput, ...]:
    """Return what is known of the stems: their bytes as they were taken, their audio by the worker's word."""
    facts = {stem.stem: stem for stem in result.outputs}
    return tuple(
        RunOutput(
            stem=stem,
            path=str(place),
            sha256=taken[stem].sha256,
            size_bytes=taken[stem].size_bytes,
            format=output.options.format,
            subtype=facts[stem].subtype,
            sample_rate=facts[stem].sample_rate,
            channels=facts[stem].channels,
            frames=facts[stem].frames,
            peak=facts[stem].peak,
        )
        for stem, place in names.stems.items()
    )


def effective_settings(said: Mapping[str, Any]) -> dict[str, SettingValue]:
    """Return what a worker says its settings are, as far as they are plain values of sane size."""
    plain = {
        name: value
        for name, value in said.items()
        if isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 1 << 63)
    }
    return {name: value[:_SETTING_CHARACTERS] if isinstance(value, str) else value for name, value in plain.items()}


def track_timings(result: SeparateResult, total_seconds: float) -> TrackTimings:
    """Return where the time went; what is over and above the worker's own is ours."""
    worker = result.timings
    return TrackTimings(
        decode_seconds=worker.decode_seconds,
        separate_seconds=worker.separate_seconds,
        encode_seconds=worker.encode_seconds,
        worker_seconds=worker.total_seconds,
        overhead_seconds=max(0.0, total_seconds - worker.total_seconds),
        total_seconds=total_seconds,
    )
