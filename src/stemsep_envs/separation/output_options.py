"""How stems are written: what the user asked for, checked and with defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemsep_envs.documents.audio import DEFAULT_FORMAT, FORMAT_NAMES, OUTPUT_FORMATS
from stemsep_envs.documents.run import OutputOptions
from stemsep_envs.errors import UsageError
from stemsep_envs.separation.existing import Existing
from stemsep_envs.separation.output_names import DEFAULT_TEMPLATE, check_template

MAX_SAMPLE_RATE = 768_000
MAX_SECONDS = 1e9
"""Thirty years of audio; a larger number is a mistake, and so is one that is not a number."""


@dataclass(frozen=True)
class OutputPlan:
    """Where and how a run writes.

    Attributes:
        dir: The output folder, absolute.
        options: Format and range, as the record keeps them.
        existing: What to do about outputs that are there already.
        template: How files are named below ``dir``.
    """

    dir: Path
    options: OutputOptions
    existing: Existing = "skip"
    template: str = DEFAULT_TEMPLATE


def output_options(
    *,
    format: str = DEFAULT_FORMAT,  # noqa: A002 - the word users know
    bit_depth: str | None = None,
    sample_rate: str | int = "source",
    normalize: bool = False,
    stems: tuple[str, ...] | None = None,
    start_seconds: float | None = None,
    duration_seconds: float | None = None,
) -> OutputOptions:
    """Check output options and fill in defaults: WAV of 32-bit float at the input's own rate, no gain changed.

    Args:
        format: A row of `documents.audio`, such as ``flac``.
        bit_depth: One of the row's, such as ``24``; its first by default. Some formats have none.
        sample_rate: ``source`` (the input's), ``model`` (the model's own) or a number in hertz.
        normalize: Bring the loudest stem of a track to -1 dBFS, all stems by one gain.
        stems: Only these stems, in this order; None for all.
        start_seconds: Where to begin in the input.
        duration_seconds: How much of the input to take.

    Raises:
        UsageError: A value is unknown, or two do not fit together.
    """
    chosen = next((row for row in OUTPUT_FORMATS if row.name == format), None)
    if chosen is None:
        raise UsageError(f"unknown format {format!r}", hint=f"formats: {', '.join(FORMAT_NAMES)}")
    name, depths = chosen
    depth = next((known for known in depths if known == bit_depth), None) if bit_depth else next(iter(depths), None)
    if bit_depth and depth is None:
        hint = f"bit depths of {name}: {', '.join(depths)}" if depths else f"{name} has no bit depth; leave it out"
        raise UsageError(f"{name} cannot be written with bit depth {bit_depth}", hint=hint)
    if start_seconds is not None and not 0 <= start_seconds <= MAX_SECONDS:
        raise UsageError("--start must be 0 or more", hint="seconds from the beginning")
    if duration_seconds is not None and not 0 < duration_seconds <= MAX_SECONDS:
        raise UsageError("--duration must be more than 0", hint="seconds to take")
    if stems is not None and (not stems or not all(stems) or len(set(stems)) != len(stems)):
        raise UsageError("--stems must name each stem once", hint="for example: --stems vocals,drums")
    return OutputOptions(
        format=name,
        bit_depth=depth,
        sample_rate=_sample_rate(sample_rate),
        normalize=normalize,
        stems=stems,
        start_seconds=start_seconds,
        duration_seconds=duration_seconds,
    )


def output_plan(
    output_dir: Path, options: OutputOptions, *, existing: Existing = "skip", template: str = DEFAULT_TEMPLATE
) -> OutputPlan:
    """Combine where with how; the template is checked here, the folder when it is written to.

    Raises:
        UsageError: The template is wrong.
    """
    check_template(template)
    return OutputPlan(output_dir.absolute(), options, existing, template)


def _sample_rate(value: str | int) -> Literal["model", "source"] | int:
    if value == "model":
        return "model"
    if value == "source":
        return "source"
    try:
        rate = int(value)
    except ValueError:
        rate = 0
    if not 1000 <= rate <= MAX_SAMPLE_RATE:
        raise UsageError(
            f"--sample-rate {value} is not possible", hint=f"model, source, or 1000 to {MAX_SAMPLE_RATE} hertz"
        )
    return rate
