"""Rows about running: what `run` adds to the engine's own time, and whether a first track pays for anything hidden."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import in_turns, timed
from benchmarks.place import MODEL, SONG_SECONDS, Place
from benchmarks.rows import About, Group, Outcomes, Row, difference, ratio

_TRACKS = 21
_STEMS = ("harmonic", "percussive")
_DIRECT = Path(__file__).with_name("direct.py")


def _first_track(place: Place) -> Outcomes:
    """The first track through ``run``, beyond the engine's own time."""
    place.ensure()
    song, out = place.song(), place.dir / "first"
    record = _run(place, [song], out)
    engine = _direct(place, record, [song])

    def own_time() -> float:
        shutil.rmtree(place.dir / "direct", ignore_errors=True)
        return timed(engine, place.env)

    ours, own = in_turns([lambda: _timed_run(place, [song], out), own_time], n=place.rounds(20))
    about = About(
        "first-track",
        "first track through run, beyond the engine's own time",
        f"stemsep-env run {MODEL} SONG -o DIR",
        "ENVIRONMENT/bin/python -I benchmarks/direct.py: start, import, load, separate, write",
        bar=0.25,
        note=f"{SONG_SECONDS} s of stereo; sandbox level {record['sandbox']['level']}",
    )
    yield difference(about, ours, own)


def _further_tracks(place: Place) -> Outcomes:
    """Each further track in a session, beyond the engine's own time: by the record, and by the clock on the wall."""
    place.ensure()
    song, out = place.song(), place.dir / "further"
    songs = [place.dir / f"copy-{number}.wav" for number in range(_TRACKS)]
    for path in songs:
        shutil.copyfile(song, path)
    recorded: list[float] = []
    workers: list[float] = []

    def many() -> float:
        elapsed = _timed_run(place, songs, out)
        timings = [track["timings"] for track in _record(out)["tracks"][1:]]
        recorded.append(median(timing["overhead_seconds"] for timing in timings))
        workers.append(sum(timing["worker_seconds"] for timing in timings))
        return elapsed

    n = place.rounds(8)
    all_tracks, one = in_turns([many, lambda: _timed_run(place, songs[:1], out)], n=n)
    further = _TRACKS - 1
    walls = [(whole - single - own) / further for whole, single, own in zip(all_tracks, one, workers[-n:], strict=True)]
    own_each = median(workers[-n:]) / further
    by_clock = "by the clock: everything that a longer list of inputs costs"
    for name, what, values in (
        ("further-track", "by the record's overhead_seconds", recorded[-n:]),
        ("further-track-wall", by_clock, walls),
    ):
        about = About(
            name,
            f"each further track in a session, beyond the engine's own time, {what}",
            f"stemsep-env run {MODEL} {_TRACKS} SONGS -o DIR",
            "what the worker took for the track, from its own clock",
            bar=0.005,
            note=f"{SONG_SECONDS} s of stereo; {len(_STEMS)} stems as 32-bit float wav",
        )
        value = median(values)
        yield Row(about, "difference", own_each + value, own_each, value, min(values), n)


def _first_ever(place: Place) -> Outcomes:
    """The first track ever in a new environment, against the first track of a second process."""
    song, out = place.song(), place.dir / "ever"

    def ever() -> float:
        place.remove_environments()
        place.ensure()
        return _timed_run(place, [song], out)

    new, second = in_turns([ever, lambda: _timed_run(place, [song], out)], n=place.rounds(10))
    about = About(
        "first-ever",
        "first track ever in a new environment, against the first of a second process",
        f"stemsep-env run {MODEL} SONG -o DIR, right after ensure built it",
        "the same again",
        bar=1.3,
    )
    yield ratio(about, new, second)


def _arguments(place: Place, songs: Sequence[Path], out: Path) -> list[str]:
    return [place.tool, "run", MODEL, *map(str, songs), "-o", str(out), "--existing", "overwrite"]


def _timed_run(place: Place, songs: Sequence[Path], out: Path) -> float:
    shutil.rmtree(out, ignore_errors=True)
    return timed(_arguments(place, songs, out), place.env)


def _run(place: Place, songs: Sequence[Path], out: Path) -> dict[str, Any]:
    _timed_run(place, songs, out)
    return _record(out)


def _record(out: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((out / "run.json").read_bytes())
    return record


def _direct(place: Place, record: dict[str, Any], songs: Sequence[Path]) -> list[str]:
    """Return the command that does the same as a run did, without any of ours around it."""
    settings = {name: setting["value"] for name, setting in record["settings"].items() if setting["value"] is not None}
    model = record["model"]
    output = record["output"]
    request = {
        "load": {
            "model": {
                "id": model["id"],
                "model_type": model["model_type"],
                "variant": None,
                "architecture": model["architecture"],
            },
            "artifacts": {},
            "device": record["device"],
            "settings": settings,
        },
        "tracks": [
            {
                "input": str(song),
                "stems": list(_STEMS),
                "output": {
                    "dir": str(place.dir / "direct"),
                    "files": {stem: f"{stem}.wav" for stem in _STEMS},
                    "format": output["format"],
                    "bit_depth": output["bit_depth"],
                    "sample_rate": output["sample_rate"],
                    "normalize": output["normalize"],
                },
            }
            for song in songs
        ],
    }
    path = place.dir / "direct.json"
    path.write_text(json.dumps(request))
    adapter = place.package / "_data" / "runtimes" / record["runtime"]["id"] / "adapter.py"
    python = place.environment() / "venv" / "bin" / "python"
    # Its bytecode lies apart: what it leaves beside our files would make the run faster than it is for users.
    bytecode = f"pycache_prefix={place.dir / 'bytecode'}"
    return [str(python), "-I", "-X", bytecode, str(_DIRECT), str(place.package), str(adapter), str(path)]


GROUPS = (
    Group("first-track", ("first-track",), _first_track),
    Group("further-track", ("further-track", "further-track-wall"), _further_tracks),
    Group("first-ever", ("first-ever",), _first_ever),
)
