"""How much a worker may write for one track: so that it cannot fill the disk, and no honest one notices."""

from __future__ import annotations

import shutil
from pathlib import Path

from stemsep_envs.host.audio_headers import read_header
from stemsep_envs.host.files import write_atomic

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


def track_bound(source: Path, *, stems: int, sample_rate: int | None, folder: Path) -> int:
    """Return the most bytes that a worker's folder may hold while it separates a track.

    Args:
        source: The input.
        stems: How many stems are written.
        sample_rate: The highest rate that the stems may have, in hertz; None where it is the input's own.
        folder: Where it writes: it never gets all of that disk.
    """
    try:
        size = source.stat().st_size
    except OSError:  # the worker will say so
        size = 0
    header = read_header(source) if source.suffix.lower() in _EXACT_SUFFIXES else None
    seconds = size / _LEAST_BYTES_PER_SECOND
    rate, channels = _MOST_RATE_HZ, _LEAST_CHANNELS
    if header is not None:
        seconds = min(seconds, (header.duration_seconds or seconds) * _HEADROOM)
        rate = max(header.sample_rate or rate, 48_000)
        channels = max(header.channels or 0, channels)
    frame_bytes = channels * _SAMPLE_BYTES * _COPIES * max(stems, 1)
    wanted = FLOOR_BYTES + int((seconds + _SPARE_SECONDS) * max(rate, sample_rate or 0) * frame_bytes)
    return min(wanted, int(shutil.disk_usage(folder).free * _DISK_SHARE))


def idle_bound(folder: Path) -> int:
    """Return the most bytes that the folder may hold while there is no track."""
    return min(FLOOR_BYTES, int(shutil.disk_usage(folder).free * _DISK_SHARE))


def set_bound(file: Path, bound: int) -> None:
    """Tell the worker's launcher, which looks again and again."""
    write_atomic(file, str(bound).encode())
