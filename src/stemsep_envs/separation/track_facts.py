"""What the record tells of a track: the input as the host read it, the stems as taken, the worker's timings."""

from __future__ import annotations

import time
from collections.abc import Mapping

from stemsep_envs.documents.protocol import SeparateResult
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import RunInput, RunOutput, RunTrack, TrackTimings
from stemsep_envs.documents.runtime import SettingValue
from stemsep_envs.separation.output_names import TrackNames
from stemsep_envs.separation.separated_track import SeparatedTrack

_SETTING_CHARACTERS = 200


def track_record(separated: SeparatedTrack, names: TrackNames) -> RunTrack:
    """Return a finished track's part of the record.

    Args:
        separated: The track, as its session gave it.
        names: Where its stems are published, below the output folder.
    """
    result = separated.result
    return RunTrack(
        status="done",
        input=_input_facts(separated),
        start_frame=result.range.start_frame,
        frames=result.range.frames,
        outputs=_output_facts(separated, names),
        gain=result.gain,
        gain_reason=result.gain_reason,
        warnings=(*separated.warnings, *_worker_warnings(separated)),
        settings=separated.settings,
        effective_settings=plain_settings(separated.effective_settings),
        timings=_timings(result, time.monotonic() - separated.began),
        peak_memory_bytes=result.peak_memory_bytes,
        record=str(names.record),
    )


def plain_settings(said: Mapping[str, object]) -> dict[str, SettingValue]:
    """Return what a worker says its settings are, as far as they are plain values of sane size."""
    plain = {
        name: value
        for name, value in said.items()
        if isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 1 << 63)
    }
    return {name: value[:_SETTING_CHARACTERS] if isinstance(value, str) else value for name, value in plain.items()}


def _worker_warnings(separated: SeparatedTrack) -> tuple[Finding, ...]:
    """Return what the worker warned of, and whether the input was changed meanwhile."""
    warnings = [Finding(code=warning.code, message=warning.message) for warning in separated.result.warnings]
    if separated.read.changed:
        warnings.append(Finding(code="input_changed", message="the input was changed while it was being read"))
    return tuple(warnings)


def _input_facts(separated: SeparatedTrack) -> RunInput:
    """Return what is known of an input: its bytes by our own reading, its audio by the worker's."""
    facts, read = separated.result.input, separated.read
    return RunInput(
        path=str(separated.request.source),
        sha256=read.sha256,
        size_bytes=read.size_bytes,
        container=facts.container,
        subtype=facts.subtype,
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        frames=facts.frames,
        duration_seconds=facts.duration_seconds,
    )


def _output_facts(separated: SeparatedTrack, names: TrackNames) -> tuple[RunOutput, ...]:
    """Return what is known of the stems: their bytes as they were taken, their audio by the worker's word."""
    facts = {stem.stem: stem for stem in separated.result.outputs}
    return tuple(
        RunOutput(
            stem=stem,
            path=str(place),
            sha256=separated.stems[stem].sha256,
            size_bytes=separated.stems[stem].size_bytes,
            format=separated.request.output.format,
            subtype=facts[stem].subtype,
            sample_rate=facts[stem].sample_rate,
            channels=facts[stem].channels,
            frames=facts[stem].frames,
            peak=facts[stem].peak,
        )
        for stem, place in names.stems.items()
    )


def _timings(result: SeparateResult, total_seconds: float) -> TrackTimings:
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
