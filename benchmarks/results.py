"""The result: a file that holds every row as soon as it is measured, and a table for people."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.rows import Comparison, Missing, Outcome, Row, Unmeasured

_HEADER = ("ROW", "OURS", "REFERENCE", "VALUE", "FASTEST", "BAR", "MET", "N")


class ResultsFile:
    """``<date>.json``: written anew, beside and renamed, after every row.

    Attributes:
        path: The file.
        outcomes: What it holds.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._began = datetime.now(timezone.utc)
        self.path = folder / f"{self._began:%Y-%m-%dT%H%M%SZ}.json"
        self.outcomes: list[Outcome] = []
        self._write(complete=False)

    def add(self, outcome: Outcome) -> None:
        """Store one row."""
        self.outcomes.append(outcome)
        self._write(complete=False)

    def complete(self) -> None:
        """Say that all rows that were asked for are there."""
        self._write(complete=True)

    def _write(self, *, complete: bool) -> None:
        document = {
            "measured_at": self._began.isoformat(timespec="seconds"),
            "machine": {
                "system": platform.system(),
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
            },
            "complete": complete,
            "rows": [_as_json(outcome) for outcome in self.outcomes],
        }
        beside = self.path.with_suffix(".partial")
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(document, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self.path)


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print what was measured, what was run for it, and what was not measured and why."""
    rows = [outcome for outcome in outcomes if isinstance(outcome, Row)]
    table = [_HEADER, *(_cells(outcome) for outcome in outcomes)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADER))]
    for name, *cells in table:
        print("  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]).rstrip())
    print()
    for row in rows:
        print(f"{row.name}: {row.about.what}")
        print(f"    ours       {row.about.ours_command}")
        if row.about.reference_command:
            print(f"    reference  {row.about.reference_command}")
        if row.about.note:
            print(f"    {row.about.note}")
    for missing in outcomes:
        if isinstance(missing, Missing):
            print(f"{missing.name}: {_STATUS[missing.status]}: {missing.reason}")


def _as_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Missing):
        return asdict(outcome)
    numbers = asdict(outcome)
    return {**numbers.pop("about"), "status": "measured", **numbers, "met": outcome.met}


def _cells(outcome: Outcome) -> tuple[str, ...]:
    if isinstance(outcome, Missing):
        return (outcome.name, _STATUS[outcome.status], *[""] * (len(_HEADER) - 2))
    shown = _SHOWN[outcome.comparison]
    size = _megabytes if outcome.comparison == "share" else _seconds
    bar = outcome.about.bar
    return (
        outcome.name,
        size(outcome.ours),
        "-" if outcome.reference is None else size(outcome.reference),
        shown(outcome.value),
        "-" if outcome.fastest is None else shown(outcome.fastest),
        "-" if bar is None else shown(bar),
        {True: "yes", False: "NO", None: "-"}[outcome.met],
        str(outcome.n),
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if abs(seconds) >= 1 else f"{seconds * 1000:.1f} ms"


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


_STATUS: dict[Unmeasured, str] = {"not_possible": "not possible here", "failed": "FAILED", "interrupted": "interrupted"}
_SHOWN: dict[Comparison, Callable[[float], str]] = {
    "ratio": "{:.2f} x".format,
    "share": "{:.1%}".format,
    "difference": _seconds,
    "absolute": _seconds,
}
