"""Output options: defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.errors import UsageError
from stemsep_envs.separation.output_options import output_options, output_plan


def test_defaults() -> None:
    options = output_options()
    assert (options.format, options.bit_depth, options.sample_rate, options.normalize) == (
        "wav",
        "32f",
        "source",
        False,
    )
    assert (options.stems, options.start_seconds, options.duration_seconds) == (None, None, None)


@pytest.mark.parametrize(
    ("chosen", "asked", "depth"),
    [("wav", None, "32f"), ("wav", "16", "16"), ("flac", None, "24"), ("flac", "16", "16"), ("mp3", None, None)],
)
def test_bit_depths(chosen: str, asked: str | None, depth: str | None) -> None:
    assert output_options(format=chosen, bit_depth=asked).bit_depth == depth


@pytest.mark.parametrize("rate", ["model", "source", 8000, "44100", 768_000])
def test_sample_rates(rate: str | int) -> None:
    expected = rate if rate in {"model", "source"} else int(rate)
    assert output_options(sample_rate=rate).sample_rate == expected


@pytest.mark.parametrize(
    "options",
    [
        {"format": "WAV"},
        {"format": "aac"},
        {"format": ""},
        {"bit_depth": "32"},
        {"format": "flac", "bit_depth": "32f"},
        {"format": "mp3", "bit_depth": "16"},
        {"sample_rate": "fast"},
        {"sample_rate": 0},
        {"sample_rate": -44100},
        {"sample_rate": "44.1"},
        {"sample_rate": 768_001},
        {"sample_rate": "9" * 5000},
        {"start_seconds": -0.1},
        {"start_seconds": float("nan")},
        {"start_seconds": float("inf")},
        {"duration_seconds": 0},
        {"duration_seconds": -1},
        {"duration_seconds": float("nan")},
        {"duration_seconds": float("inf")},
        {"stems": ()},
        {"stems": ("a", "a")},
        {"stems": ("",)},
    ],
)
def test_what_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        output_options(**options)
    assert caught.value.hint
    assert len(caught.value.message) < 6000


def test_a_plan_is_absolute_and_has_a_sound_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert output_plan(Path("out"), output_options()).dir == tmp_path / "out"
    with pytest.raises(UsageError):
        output_plan(Path("out"), output_options(), template="../{stem}")
