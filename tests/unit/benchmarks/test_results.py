"""The file of results, and the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.results import ResultsFile, print_table
from benchmarks.rows import Missing, Outcome, Row

MakeRow = Callable[..., Row]


def read(results: ResultsFile) -> Any:
    return json.loads(results.path.read_bytes())


def test_every_row_is_stored_as_it_is_added(tmp_path: Path, row: MakeRow) -> None:
    results = ResultsFile(tmp_path / "results")
    assert read(results)["rows"] == []
    results.add(row("one"))
    assert read(results)["rows"] == [
        {
            "name": "one",
            "what": "what one is",
            "ours_command": "ours",
            "reference_command": "theirs",
            "bar": 3.0,
            "note": "a note",
            "status": "measured",
            "comparison": "ratio",
            "ours": 2.0,
            "reference": 1.0,
            "value": 2.0,
            "fastest": 1.9,
            "n": 4,
            "met": True,
        }
    ]
    results.add(Missing("two", "not_possible", "there is no bubblewrap"))
    assert read(results)["rows"][1] == {"name": "two", "status": "not_possible", "reason": "there is no bubblewrap"}
    assert list(results.path.parent.iterdir()) == [results.path]


def test_it_is_complete_when_all_rows_are_there(tmp_path: Path, row: MakeRow) -> None:
    results = ResultsFile(tmp_path)
    results.add(row("one"))
    assert read(results)["complete"] is False
    results.complete()
    assert read(results)["complete"] is True
    assert len(read(results)["rows"]) == 1


def test_a_write_that_fails_leaves_the_rows_before(
    tmp_path: Path, row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ResultsFile(tmp_path)
    results.add(row("one"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("benchmarks.results.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        results.add(row("two"))
    assert [stored["name"] for stored in read(results)["rows"]] == ["one"]


def test_the_table_says_what_was_not_measured(row: MakeRow, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: list[Outcome] = [
        row("good"),
        row("slow", bar=1.5),
        row("informs", bar=None),
        Missing("odd", "not_possible", "there is no bubblewrap"),
        Missing("bad", "failed", "RuntimeError: it broke"),
    ]
    print_table(outcomes)
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines()[:6]] == [
        ["ROW", "OURS", "REFERENCE", "VALUE", "FASTEST", "BAR", "MET", "N"],
        ["good", "2.00", "s", "1.00", "s", "2.00", "x", "1.90", "x", "3.00", "x", "yes", "4"],
        ["slow", "2.00", "s", "1.00", "s", "2.00", "x", "1.90", "x", "1.50", "x", "NO", "4"],
        ["informs", "2.00", "s", "1.00", "s", "2.00", "x", "1.90", "x", "-", "-", "4"],
        ["odd", "not", "possible", "here"],
        ["bad", "FAILED"],
    ]
    assert "odd: not possible here: there is no bubblewrap" in shown
    assert "bad: FAILED: RuntimeError: it broke" in shown
