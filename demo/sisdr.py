"""Measure how well stems match their sources, in decibels of SI-SDR.

    python sisdr.py --mix MIX --pair ESTIMATE=REFERENCE[+REFERENCE...] [--pair ...]

prints one JSON document with, for each pair, the SI-SDR of the mix against the reference (before), of the
estimate against it (after), and the improvement. References joined by ``+`` are added up first.

SI-SDR is the scale-invariant signal-to-distortion ratio of Le Roux, Wisdom, Erdogan and Hershey:
"SDR - half-baked or well done?", ICASSP 2019. For a reference s and an estimate e

    a = <e, s> / <s, s>        SI-SDR = 10 log10( |a s|^2 / |e - a s|^2 )

* No mean is removed: an offset in the estimate is an error like any other.
* All channels form one vector under one a: a shifted stereo balance is an error as well.
* Against or from silence nothing is defined: such values are null.
* Values are held within +-300 dB, about where rounding in double precision hides what lies beyond; a perfect
  estimate has 300 and not infinity, which JSON cannot say.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

Audio = npt.NDArray[np.float64]  # (frames, channels)

LIMIT_DB = 300.0


class UnusableAudioError(Exception):
    """A file that cannot be read or does not go with the mix."""


class Pair(NamedTuple):
    """A stem, and the sources whose sum it should be."""

    estimate: Path
    references: tuple[Path, ...]


class Track(NamedTuple):
    """A file's samples and how fast they follow each other."""

    samples: Audio
    rate: int


def si_sdr(estimate: Audio, reference: Audio) -> float | None:
    """The SI-SDR of an estimate in dB, or None where either is silent."""
    e, s = at_full_scale(estimate), at_full_scale(reference)
    if e is None or s is None:
        return None
    target = np.vdot(e, s) / np.vdot(s, s) * s
    signal, distortion = float(np.vdot(target, target)), float(np.vdot(e - target, e - target))
    if distortion == 0:
        return LIMIT_DB
    if signal == 0:
        return -LIMIT_DB
    return min(max(10 * (math.log10(signal) - math.log10(distortion)), -LIMIT_DB), LIMIT_DB)


def at_full_scale(audio: Audio) -> Audio | None:
    """Audio with its peak at 1, so that squares of faint samples do not vanish; None if it is silent."""
    peak = np.abs(audio).max(initial=0.0)
    return audio / peak if peak > 0 else None


def measure(mix_path: Path, pairs: Sequence[Pair]) -> dict[str, object]:
    """Every pair before and after separation, as a document for JSON."""
    mix = read(mix_path)
    rows = []
    for pair in pairs:
        reference = np.sum([read_like(mix, path) for path in pair.references], axis=0)
        before = si_sdr(mix.samples, reference)
        after = si_sdr(read_like(mix, pair.estimate), reference)
        rows.append(
            {
                "estimate": str(pair.estimate),
                "references": [str(path) for path in pair.references],
                "before_db": rounded(before),
                "after_db": rounded(after),
                "improvement_db": None if before is None or after is None else rounded(after - before),
            }
        )
    return {"metric": "SI-SDR", "mix": str(mix_path), "pairs": rows}


def rounded(decibels: float | None) -> float | None:
    """Decibels to the hundredth."""
    return None if decibels is None else round(decibels, 2)


def read(path: Path) -> Track:
    """A file's audio; raises `UnusableAudioError`."""
    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise UnusableAudioError(f"{path}: {error}") from None
    if not np.isfinite(samples).all():
        raise UnusableAudioError(f"{path}: holds samples that are not finite numbers")
    return Track(samples, rate)


def read_like(mix: Track, path: Path) -> Audio:
    """The samples of a file that has the shape and rate of the mix; raises `UnusableAudioError`."""
    track = read(path)
    if track.rate != mix.rate or track.samples.shape != mix.samples.shape:
        raise UnusableAudioError(f"{path}: is {described(track)}, where the mix is {described(mix)}")
    return track.samples


def described(track: Track) -> str:
    """A track's format in words."""
    frames, channels = track.samples.shape
    return f"{frames} frames of {channels} channels at {track.rate} Hz"


def pair(text: str) -> Pair:
    """Parse ``ESTIMATE=REFERENCE[+REFERENCE...]``; the last ``=`` counts."""
    estimate, _, references = text.rpartition("=")
    if not estimate or not all(references.split("+")):
        raise argparse.ArgumentTypeError(f"expected ESTIMATE=REFERENCE[+REFERENCE...], not {text!r}")
    return Pair(Path(estimate), tuple(map(Path, references.split("+"))))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Measure how well stems match their sources, in dB of SI-SDR.")
    parser.add_argument("--mix", type=Path, required=True, help="what was separated")
    parser.add_argument(
        "--pair",
        type=pair,
        action="append",
        required=True,
        dest="pairs",
        metavar="ESTIMATE=REFERENCE[+REFERENCE...]",
        help="a stem and the sources whose sum it should be; repeatable",
    )
    arguments = parser.parse_args(argv)
    try:
        document = measure(arguments.mix, arguments.pairs)
    except UnusableAudioError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
