"""What a worker prints: bounded, and clean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.worker.log import MAX_LINE_CHARS, MAX_LINES, TAIL_LINES, LogLines, WorkerLog


def test_the_log_keeps_the_end_to_a_bound() -> None:
    log = WorkerLog()
    for number in range(MAX_LINES + 10):
        log.add(f"line {number}")
    log.add("x" * 100_000)
    lines = log.text().split("\n")
    assert len(lines) == MAX_LINES
    assert len(lines[-1]) == MAX_LINE_CHARS
    assert lines[-2] == f"line {MAX_LINES + 9}"


def test_the_tail_passes_over_blank_lines() -> None:
    log = WorkerLog()
    log.add("first\n\n   \n\x1b[0m\n" + "\n".join(map(str, range(TAIL_LINES - 1))))
    assert log.tail().split("\n") == ["first", *map(str, range(TAIL_LINES - 1))]


def test_a_progress_bar_is_its_last_state() -> None:
    log = WorkerLog()
    log.add(" 10%\r 50%\r100%\r")
    assert log.tail() == "100%"


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_log_lines_however_the_blocks_fall(blocks: list[bytes]) -> None:
    whole, cut = WorkerLog(), WorkerLog()
    LogLines(whole).feed(b"".join(blocks) + b"\n")
    lines = LogLines(cut)
    for block in [*filter(None, blocks), b"\n", b""]:
        lines.feed(block)
    assert cut.text() == whole.text()


def test_a_log_line_without_end_is_cut() -> None:
    log = WorkerLog()
    lines = LogLines(log)
    for _ in range(100):
        lines.feed(b"x" * 10_000)
    lines.feed(b"")
    assert set(log.text()) == {"x", "\n"}
    assert len(lines._partial) < 100_000
