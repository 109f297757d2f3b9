"""Choosing rows, measuring them, telling."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import rows_ensure, rows_msst, rows_registry, rows_run, rows_sandbox, rows_torch
from benchmarks.measure import Row
from benchmarks.place import Place, prepared_place
from benchmarks.report import print_table, store

_ROWS: dict[str, Callable[[Place], Iterator[Row]]] = {
    "reuse": rows_ensure.reuse,
    "build": rows_ensure.build,
    "sixteen": rows_ensure.sixteen,
    "disk": rows_ensure.disk,
    "lock": rows_ensure.lock,
    "torch": rows_torch.torch,
    "first-track": rows_run.first_track,
    "further-track": rows_run.further_tracks,
    "first-ever": rows_run.first_ever,
    "sandbox": rows_sandbox.sandbox,
    "checkpoints": rows_sandbox.checkpoints,
    "msst": rows_msst.msst,
    "registry": rows_registry.registry,
}
"""What ``--rows`` may name; one name may give several rows."""


def main(arguments: list[str] | None = None) -> int:
    """Measure; return 0 when every bar is met, else 1."""
    parser = argparse.ArgumentParser(description="Measure against what a user would run instead.")
    parser.add_argument("--rows", metavar="NAME,...", default=",".join(_ROWS), help="of: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a quarter of the rounds")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), metavar="DIR")
    options = parser.parse_args(arguments)
    names = options.rows.split(",")
    unknown = [name for name in names if name not in _ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(_ROWS)}")
    rows: list[Row] = []
    with prepared_place(quick=options.quick) as place:
        for name in names:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            rows += _ROWS[name](place)
    print_table(rows)
    print(f"\nstored in {store(rows, options.results)}")
    return 0 if all(row.met is not False for row in rows) else 1
