"""How much a worker may write for one track, and how long it may take: bounds that no honest one notices."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.host.atomic_write import write_private
from stemsep_envs.host.audio_headers import AudioHeader, read_header

FLOOR_BYTES = 1 << 30
"""For what engines and their libraries keep in their folder beside stems."""

_EXACT_SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".w64", ".rf64")
"""Files whose headers tell their length; of others only their size tells anything."""

_LEAST_BYTES_PER_SECOND = 2000
"""Of coded music: nobody codes it with fewer than 16 kbit/s."""

_MOST_RATE_HZ = 192_000
_LEAST_CHANNELS = 2
_SAMPLE_BYTES = 4
_COPIES = 2
"""A stem may wait in full beside its file until the gain of all stems is known."""

_SPARE_SECONDS = 60.0
_HEADROOM = 2.0
_DISK_SHARE = 0.9

_LEAST_TRACK_SECONDS = 3600.0
_SECONDS_PER_SECOND = 300.0
"""Of computing for one of music: large models on small processors take some dozens."""


@dataclass(frozen=True)
class TrackLimits:
    """What a worker is held to for one track.

    Attributes:
        output_bytes: The most that its folder may hold.
        seconds: How long it may take where nobody says: far longer than any honest model, and not for ever.
    """

    output_bytes: int
    seconds: float


def track_limits(source: Path, *, stems: int, sample_rate: int | None, folder: Path) -> TrackLimits:
    """Return what a worker is held to while it separates a track.

    Args:
        source: The input.
        stems: How many stems are written.
        sample_rate: The highest rate that the stems may have, in hertz; None where it is the input's own.
        folder: Where it writes: it never gets all of that disk.
    """
    header = _exact_header(source)
    seconds = _longest(source, header)
    rate, channels = _MOST_RATE_HZ, _LEAST_CHANNELS
    if header is not None:
        rate = max(header.sample_rate or rate, 48_000)
        channels = max(header.channels or 0, channels)
    frame_bytes = channels * _SAMPLE_BYTES * _COPIES * max(stems, 1)
    wanted = FLOOR_BYTES + int((seconds + _SPARE_SECONDS) * max(rate, sample_rate or 0) * frame_bytes)
    return TrackLimits(
        output_bytes=min(wanted, int(shutil.disk_usage(folder).free * _DISK_SHARE)),
        seconds=_LEAST_TRACK_SECONDS + seconds * _SECONDS_PER_SECOND / _HEADROOM,
    )


def _exact_header(source: Path) -> AudioHeader | None:
    return read_header(source) if source.suffix.lower() in _EXACT_SUFFIXES else None


def _longest(source: Path, header: AudioHeader | None) -> float:
    """Return the most seconds that a file can be long: twice what its header says, or by its size."""
    try:
        seconds = source.stat().st_size / _LEAST_BYTES_PER_SECOND
    except OSError:  # the worker will say so
        return 0.0
    return seconds if header is None else min(seconds, (header.duration_seconds or seconds) * _HEADROOM)


def idle_bound(folder: Path) -> int:
    """Return the most bytes that the folder may hold while there is no track."""
    return min(FLOOR_BYTES, int(shutil.disk_usage(folder).free * _DISK_SHARE))


def set_bound(file: Path, bound: int) -> None:
    """Tell the worker's launcher, which looks again and again."""
    write_private(file, str(bound).encode())
