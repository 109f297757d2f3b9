"""Rows about what every command waits for: the start of the program itself."""

from __future__ import annotations

from benchmarks.measure import in_turns, timed
from benchmarks.place import Place
from benchmarks.rows import About, Group, Outcomes, ratio


def _start(place: Place) -> Outcomes:
    """``--help`` and ``--version``, which need nothing that a command needs."""
    commands = ([place.tool, "--help"], [place.tool, "--version"], [place.python, "-c", "pass"])
    sides = [lambda argv=argv: timed(argv, place.env) for argv in commands]
    *ours, bare = in_turns(sides, n=place.rounds(60), warm_ups=3)
    for name, times in zip(("help", "version"), ours, strict=True):
        about = About(name, f"--{name}, against python -c pass", f"stemsep-env --{name}", "PY -c pass", bar=3.0)
        yield ratio(about, times, bare)


GROUPS = (Group("start", ("help", "version"), _start),)
