"""The formats that can be asked for, and those that can be written: two tables, on both sides of the sandbox."""

from __future__ import annotations

from stemsep_envs.documents.audio import BIT_DEPTHS, DEFAULT_DEPTHS_IN_WORDS, DEFAULT_FORMAT, OUTPUT_FORMATS
from stemsep_envs.inside import audio_encoding, params


def test_what_can_be_asked_for_is_what_can_be_written() -> None:
    asked = {row.name: {*row.bit_depths} for row in OUTPUT_FORMATS}
    written = {name: {depth for depth in row.subtypes if depth} for name, row in audio_encoding.FORMATS.items()}
    assert asked == written
    assert set(params.FORMATS) == set(asked)
    assert params.BIT_DEPTHS == BIT_DEPTHS


def test_both_sides_have_the_same_default_depth() -> None:
    for row in OUTPUT_FORMATS:
        subtypes = audio_encoding.FORMATS[row.name].subtypes
        assert subtypes[None] == subtypes[row.bit_depths[0] if row.bit_depths else None]


def test_defaults() -> None:
    assert DEFAULT_FORMAT == "wav"
    assert DEFAULT_DEPTHS_IN_WORDS == "32f for wav, 24 for flac"


def test_every_format_has_48_khz() -> None:
    for row in audio_encoding.FORMATS.values():
        assert not row.rates or 48000 in row.rates
