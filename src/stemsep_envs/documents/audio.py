"""The table of audio files that can be asked for; `inside.audio_encoding` writes them, and a test compares the two.

Imported by the command line: keep it light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias


class OutputFormat(NamedTuple):
    """One format.

    Attributes:
        name: Its word for ``--format``, and the ending of its files.
        bit_depths: Those that it can be written with, the default first; none where the format has none.
    """

    name: str
    bit_depths: tuple[str, ...] = ()


OUTPUT_FORMATS: tuple[OutputFormat, ...] = (
    OutputFormat("wav", ("32f", "16", "24")),
    OutputFormat("flac", ("24", "16")),
    OutputFormat("mp3"),
    OutputFormat("m4a"),
    OutputFormat("opus"),
)
"""The default first."""

FORMAT_NAMES: tuple[str, ...] = tuple(row.name for row in OUTPUT_FORMATS)
DEFAULT_FORMAT: str = FORMAT_NAMES[0]
BIT_DEPTHS: tuple[str, ...] = tuple(sorted({depth for row in OUTPUT_FORMATS for depth in row.bit_depths}))
DEFAULT_DEPTHS_IN_WORDS: str = ", ".join(
    f"{row.bit_depths[0]} for {row.name}" for row in OUTPUT_FORMATS if row.bit_depths
)

if TYPE_CHECKING:
    AudioFormat: TypeAlias = str
    BitDepth: TypeAlias = str
else:
    AudioFormat = Literal[FORMAT_NAMES]
    BitDepth = Literal[BIT_DEPTHS]
