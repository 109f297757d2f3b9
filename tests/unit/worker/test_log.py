"""What a worker prints, and the lines it sends: bounded, and clean."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.protocol import MAX_LINE_BYTES
from stemsep_envs.worker.log import MAX_LINE_CHARS, MAX_LINES, TAIL_LINES, WorkerLog
from stemsep_envs.worker.streams import EndOfReplies, LogLines, Overlong, Replies


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


# --- replies


@given(st.lists(st.binary(max_size=10), max_size=10), st.binary(min_size=1, max_size=7))
def test_reply_lines_however_the_blocks_fall(lines: list[bytes], partial: bytes) -> None:
    sent = [line.replace(b"\n", b"") + b"\n" for line in lines]
    data = b"".join(sent) + partial.replace(b"\n", b"")
    for size in (1, 3, 1000):
        replies = Replies()
        for start in range(0, len(data), size):
            replies.feed(data[start : start + size])
        replies.feed(b"")
        assert [replies.get(0) for _ in sent] == sent
        assert replies.get(0) == EndOfReplies()  # the partial line is dropped
        assert replies.get(0) == EndOfReplies()


def test_the_longest_line_passes_and_a_longer_one_ends_it() -> None:
    replies = Replies()
    longest = b"x" * (MAX_LINE_BYTES - 1) + b"\n"
    replies.feed(longest)
    replies.feed(b"y" + longest)
    replies.feed(b"more\n")
    assert replies.get(0) == longest
    assert replies.get(0) == Overlong()
    assert replies.get(0) == Overlong()


def test_nothing_yet_is_none() -> None:
    replies = Replies()
    assert replies.get(0.01) is None
    replies.feed(b"half")
    assert replies.get(0.01) is None


def test_a_worker_that_nobody_listens_to_waits() -> None:
    replies = Replies()
    fed: list[int] = []

    def feed() -> None:
        for number in range(30):
            replies.feed(b"x" * 500_000 + b"\n")
            fed.append(number)

    thread = threading.Thread(target=feed)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    assert len(fed) < 10
    got = 0
    while isinstance(replies.get(5), bytes) and got < 29:
        got += 1
    thread.join(30)
    assert len(fed) == 30


def test_discarding_lets_a_waiting_worker_go_on() -> None:
    replies = Replies()
    thread = threading.Thread(target=replies.feed, args=(b"x\n" * 1_000_000,))
    thread.start()
    thread.join(0.1)
    replies.discard()
    thread.join(30)
    assert not thread.is_alive()
    assert replies.get(0) == EndOfReplies()
