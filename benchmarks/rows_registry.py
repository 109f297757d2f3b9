"""Rows about a registry of ten thousand models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measure import Row, in_turns, timed
from benchmarks.place import MODEL, Place

_MODELS = 10_000


def registry(place: Place) -> Iterator[Row]:
    """Validate, list, and preflight one of ten thousand models; whole processes."""
    path = _generated(place)
    last = f"model-{_MODELS - 1:05d}"
    env = {**place.env, "STEMSEP_ENV_REGISTRY": str(path)}
    n = place.rounds(12)
    note = f"{path.stat().st_size / 1e6:.0f} MB of JSON"
    for name, what, arguments, bar in (
        ("registry-validate", "check every entry", ["registry", "validate"], 5.0),
        ("registry-list", "list them", ["registry", "list"], 0.5),
        ("registry-preflight", "preflight one of them", ["preflight", last], 0.2),
    ):
        (times,) = in_turns([lambda arguments=arguments: timed([place.tool, *arguments], env)], n=n)  # type: ignore[misc]
        yield Row(
            name=name,
            what=f"a registry of {_MODELS} models: {what}",
            comparison="absolute",
            ours=median(times),
            reference=None,
            value=median(times),
            fastest=min(times),
            bar=bar,
            n=n,
            ours_command=" ".join(["stemsep-env", *arguments]),
            note=note,
        )


def _generated(place: Place) -> Path:
    """Write a registry of copies of the shipped entries under names of their own."""
    shipped = json.loads((place.package / "_data" / "registry" / "models.v2.source.json").read_bytes())
    entries = [entry for entry in shipped["models"] if entry["id"] == MODEL or "dsp" in entry["runtime"]["allowed"]]
    shipped["models"] = [
        {**entries[number % len(entries)], "id": f"model-{number:05d}", "name": f"Model {number}"}
        for number in range(_MODELS)
    ]
    path = place.dir / "ten-thousand.json"
    path.write_text(json.dumps(shipped, indent=2))
    return path
