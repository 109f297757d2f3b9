"""Rows about small environments: reuse, build, sixteen at once, disk, locks."""

from __future__ import annotations

import json
import subprocess
import time

from benchmarks.environment_rows import Models, build_row, disk_row, lock_row
from benchmarks.measure import in_turns, timed
from benchmarks.place import MODEL, Place
from benchmarks.rows import About, Group, Outcomes, ratio

_AT_ONCE = 16
_SECOND = "bench-second"
_SECOND_PACKAGE = "packaging==25.0"


def _reuse(place: Place) -> Outcomes:
    """``ensure`` of an environment that exists."""
    place.ensure()
    ours = [place.tool, "ensure", MODEL]
    empty = [place.python, "-c", "pass"]
    through_uv = [place.uv, "run", "--no-project", "-p", place.python, "python", "-c", "pass"]
    sides = [lambda argv=argv: timed(argv, place.env) for argv in (ours, empty, through_uv)]
    mine, bare, with_uv = in_turns(sides, n=place.rounds(60), warm_ups=3)
    what, command = "ensure when the environment exists, against", f"stemsep-env ensure {MODEL}"
    yield ratio(About("reuse", f"{what} python -c pass", command, "PY -c pass", bar=4.0), mine, bare)
    shown = "uv run --no-project -p PY python -c pass"
    yield ratio(About("reuse-uv", f"{what} uv run", command, shown, bar=1.0), mine, with_uv)


def _build(place: Place) -> Outcomes:
    """``ensure`` of an environment that is not there."""
    yield build_row(place, _models(place), "build", "ensure, build with warm caches", n=place.rounds(12))


def _sixteen(place: Place) -> Outcomes:
    """Sixteen processes ensure the same environment at once."""
    place.ensure()
    argv = [place.tool, "ensure", MODEL, "--json"]
    built: list[int] = []

    def alone() -> float:
        place.remove_environments()
        return timed(argv, place.env)

    def together() -> float:
        place.remove_environments()
        began = time.perf_counter()
        running = [
            subprocess.Popen(argv, env=place.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(_AT_ONCE)
        ]
        answers = [child.communicate()[0] for child in running]
        elapsed = time.perf_counter() - began
        built.append(sum(not json.loads(answer)["models"][0]["reused"] for answer in answers))
        return elapsed

    many, one = in_turns([together, alone], n=place.rounds(10))
    if set(built) != {1}:
        raise RuntimeError(f"{_AT_ONCE} processes built {built} environments; each time it must be one")
    about = About(
        "sixteen",
        f"{_AT_ONCE} processes ensure the same environment at once, the last is done",
        f"stemsep-env ensure {MODEL}, {_AT_ONCE} times at once",
        "the same once",
        bar=1.2,
        note="one build each time",
    )
    yield ratio(about, many, one)


def _disk(place: Place) -> Outcomes:
    """What a second environment with the same heavy packages costs."""
    about = About(
        "disk",
        "disk of a second environment that differs by one small package",
        f"the lock of {MODEL} and {_SECOND_PACKAGE}",
        f"the lock of {MODEL}",
    )
    yield disk_row(place, _models(place), about)


def _lock(place: Place) -> Outcomes:
    """Resolving, against the resolver alone."""
    note = "offline on both sides: online, the index's answers outweigh everything"
    yield lock_row(place, _models(place), "lock", "lock one model for one target", note=note)


def _models(place: Place) -> Models:
    """Return the shipped model, and the same with one package more."""
    path = place.dir / "small.json"
    if not path.exists():
        registry = place.registry()
        first = next(model for model in registry["models"] if model["id"] == MODEL)
        needs = first.get("requirements", {})
        packages = [*needs.get("pip", {}).get("packages", ()), _SECOND_PACKAGE]
        second = {**first, "id": _SECOND, "requirements": {**needs, "pip": {"packages": packages}}}
        path.write_text(json.dumps({**registry, "models": [first, second]}))
    return Models(MODEL, _SECOND, path)


GROUPS = (
    Group("reuse", ("reuse", "reuse-uv"), _reuse),
    Group("build", ("build",), _build),
    Group("sixteen", ("sixteen",), _sixteen),
    Group("disk", ("disk",), _disk),
    Group("lock", ("lock",), _lock),
)
