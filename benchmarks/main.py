"""Choosing rows, measuring them, telling."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import rows_ensure, rows_msst, rows_registry, rows_run, rows_sandbox, rows_start, rows_torch, runner
from benchmarks.place import prepared_place
from benchmarks.results import ResultsFile, print_table
from benchmarks.rows import Group, Outcome, Row

GROUPS: tuple[Group, ...] = (
    *rows_start.GROUPS,
    *rows_ensure.GROUPS,
    *rows_torch.GROUPS,
    *rows_run.GROUPS,
    *rows_sandbox.GROUPS,
    *rows_msst.GROUPS,
    *rows_registry.GROUPS,
)
"""What ``--rows`` may name."""
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Measure; return 0 when every bar is met, 1 when one is not or a row failed, 130 when interrupted."""
    listed = ", ".join(f"{group.name} ({', '.join(group.rows)})" for group in GROUPS)
    parser = argparse.ArgumentParser(description="Measure against what a user would run instead.")
    parser.add_argument("--rows", metavar="NAME,...", default="", help=f"groups or rows of them (all): {listed}")
    parser.add_argument("--quick", action="store_true", help="a quarter of the rounds")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        wanted = runner.chosen(GROUPS, options.rows.replace(",", " ").split())
    except ValueError as error:
        parser.error(str(error))
    results = ResultsFile(options.results)
    print(f"results: {results.path}", file=sys.stderr, flush=True)
    done = False
    # A deadline from outside is an interrupt too: what was measured is told, and the scratch folder is removed.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with prepared_place(quick=options.quick) as place:
            done = runner.measure(wanted, place, results.add, tidy=place.remove_environments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)
    if done:
        results.complete()
    print_table(results.outcomes)
    print(f"\nstored in {results.path}")
    return verdict(results.outcomes) if done else _INTERRUPTED


def verdict(outcomes: list[Outcome]) -> int:
    """Return 0 when every bar is met and nothing failed; what is not possible on this machine is no failure."""
    bad = (outcome.met is False if isinstance(outcome, Row) else outcome.status == "failed" for outcome in outcomes)
    return 1 if any(bad) else 0
