"""The audio files that can be asked for."""

from __future__ import annotations

from typing import Literal

AudioFormat = Literal["wav", "flac", "mp3", "m4a", "opus"]
BitDepth = Literal["16", "24", "32f"]
