"""Rows about a registry of ten thousand models."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.measure import in_turns, timed
from benchmarks.place import MODEL, Place
from benchmarks.rows import About, Group, Outcomes, absolute

_MODELS = 10_000


def _registry(place: Place) -> Outcomes:
    """Validate, list, and preflight one of ten thousand models; whole processes."""
    path = _generated(place)
    last = f"model-{_MODELS - 1:05d}"
    env = {**place.env, "STEMSEP_ENV_REGISTRY": str(path)}
    note = f"{path.stat().st_size / 1e6:.0f} MB of JSON"
    for name, what, arguments, bar in (
        ("registry-validate", "check every entry", ["registry", "validate"], 5.0),
        ("registry-list", "list them", ["registry", "list"], 0.5),
        ("registry-preflight", "preflight one of them", ["preflight", last], 0.12),
    ):
        argv = [place.tool, *arguments]
        (times,) = in_turns([lambda argv=argv: timed(argv, env)], n=place.rounds(12))  # type: ignore[misc]
        command = " ".join(["stemsep-env", *arguments])
        yield absolute(About(name, f"a registry of {_MODELS} models: {what}", command, bar=bar, note=note), times)


def _generated(place: Place) -> Path:
    """Write a registry of copies of the shipped entries under names of their own."""
    shipped = place.registry()
    (model,) = (entry for entry in shipped["models"] if entry["id"] == MODEL)
    runtime = model["runtime"]["allowed"]
    entries = [entry for entry in shipped["models"] if entry["runtime"]["allowed"] == runtime]
    shipped["models"] = [
        {**entries[number % len(entries)], "id": f"model-{number:05d}", "name": f"Model {number}"}
        for number in range(_MODELS)
    ]
    path = place.dir / "ten-thousand.json"
    path.write_text(json.dumps(shipped, indent=2))
    return path


GROUPS = (Group("registry", ("registry-validate", "registry-list", "registry-preflight"), _registry),)
