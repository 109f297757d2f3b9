"""What `make bench` may be asked for, and how it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks import main as bench
from benchmarks.measure import NotPossibleError
from benchmarks.rows import Group, Outcomes, Row

MakeRow = Callable[..., Row]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """Run with made-up groups and no place; return the exit code and the stored document."""

    @contextmanager
    def nowhere(*, quick: bool) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(quick=quick, remove_environments=lambda: None)

    monkeypatch.setattr(bench, "prepared_place", nowhere)

    def call(*groups: Group, arguments: tuple[str, ...] = ()) -> tuple[int, Any]:
        monkeypatch.setattr(bench, "GROUPS", groups)
        code = bench.main(["--results", str(tmp_path), *arguments])
        (stored,) = tmp_path.glob("*.json")
        document = json.loads(stored.read_bytes())
        stored.unlink()
        return code, document

    return call


def group(name: str, measure: Callable[[Any], Outcomes]) -> Group:
    return Group(name, (name,), measure)


def raising(error: BaseException) -> Callable[[Any], Outcomes]:
    def rows(_place: object) -> Outcomes:
        raise error

    return rows


def test_names_are_those_of_their_rows_and_unique() -> None:
    names = [name for group in bench.GROUPS for name in {group.name, *group.rows}]
    assert len(names) == len(set(names))


def test_all_bars_met_is_success(run: Callable[..., tuple[int, Any]], row: MakeRow) -> None:
    code, document = run(group("a", lambda _: (row(name) for name in "a")))
    assert (code, document["complete"]) == (0, True)


def test_what_is_not_possible_is_no_failure(run: Callable[..., tuple[int, Any]], row: MakeRow) -> None:
    code, document = run(group("odd", raising(NotPossibleError("why"))), group("a", lambda _: (row(n) for n in "a")))
    assert code == 0
    assert [stored["status"] for stored in document["rows"]] == ["not_possible", "measured"]


def test_a_missed_bar_or_a_failed_row_is_failure(run: Callable[..., tuple[int, Any]], row: MakeRow) -> None:
    assert run(group("a", lambda _: (row(name, bar=1.0) for name in "a")))[0] == 1
    assert run(group("a", raising(RuntimeError("why"))))[0] == 1


def test_an_interrupt_ends_with_130_and_a_file(run: Callable[..., tuple[int, Any]], row: MakeRow) -> None:
    code, document = run(group("a", lambda _: (row(n) for n in "a")), group("cut", raising(KeyboardInterrupt())))
    assert (code, document["complete"]) == (130, False)
    assert [stored["status"] for stored in document["rows"]] == ["measured", "interrupted"]


def test_a_deadline_from_outside_is_an_interrupt(run: Callable[..., tuple[int, Any]], row: MakeRow) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def ended(_place: object) -> Outcomes:
        yield row("a")
        signal.raise_signal(signal.SIGTERM)
        yield row("b")

    code, document = run(Group("g", ("a", "b"), ended))
    assert code == 130
    assert [stored["status"] for stored in document["rows"]] == ["measured", "interrupted"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_rows_are_asked_for_by_name(run: Callable[..., tuple[int, Any]], row: MakeRow) -> None:
    groups = tuple(group(name, lambda _, name=name: (row(n) for n in (name,))) for name in "abc")  # type: ignore[misc]
    _, document = run(*groups, arguments=("--rows", "c,a"))
    assert [stored["name"] for stored in document["rows"]] == ["a", "c"]
    with pytest.raises(SystemExit):
        run(*groups, arguments=("--rows", "x"))
