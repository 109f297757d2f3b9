"""The result: a table for people, and JSON for those who compare."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.measure import Comparison, Row

_HEADER = ("ROW", "OURS", "REFERENCE", "VALUE", "FASTEST", "BAR", "MET", "N")


def print_table(rows: Sequence[Row]) -> None:
    """Print what was measured, then what was run for it."""
    table = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADER))]
    for line in table:
        print(
            "  ".join(
                [
                    line[0].ljust(widths[0]),
                    *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
                ]
            )
        )
    print()
    for row in rows:
        print(f"{row.name}: {row.what}")
        print(f"    ours       {row.ours_command}")
        if row.reference_command:
            print(f"    reference  {row.reference_command}")
        if row.note:
            print(f"    {row.note}")


def store(rows: Sequence[Row], folder: Path) -> Path:
    """Write the result as ``<date>.json``, replacing that of the same second."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc)
    path = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    document = {
        "measured_at": now.isoformat(timespec="seconds"),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _cells(row: Row) -> tuple[str, ...]:
    shown = _SHOWN[row.comparison]
    size = _megabytes if row.comparison == "share" else _seconds
    return (
        row.name,
        size(row.ours),
        "-" if row.reference is None else size(row.reference),
        shown(row.value),
        "-" if row.fastest is None else shown(row.fastest),
        "-" if row.bar is None else shown(row.bar),
        {True: "yes", False: "NO", None: "-"}[row.met],
        str(row.n),
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


_SHOWN: dict[Comparison, Callable[[float], str]] = {
    "ratio": "{:.2f} x".format,
    "share": "{:.1%}".format,
    "difference": _seconds,
    "absolute": _seconds,
}
