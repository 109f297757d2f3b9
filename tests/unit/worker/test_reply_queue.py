"""The lines that a worker sends: whole, however they come, and never more of them than a bound."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.protocol import MAX_LINE_BYTES
from stemsep_envs.worker.reply_queue import EndOfReplies, Overlong, ReplyQueue


@given(st.lists(st.binary(max_size=10), max_size=10), st.binary(min_size=1, max_size=7))
def test_reply_lines_however_the_blocks_fall(lines: list[bytes], partial: bytes) -> None:
    sent = [line.replace(b"\n", b"") + b"\n" for line in lines]
    data = b"".join(sent) + partial.replace(b"\n", b"")
    for size in (1, 3, 1000):
        replies = ReplyQueue()
        for start in range(0, len(data), size):
            replies.feed(data[start : start + size])
        replies.feed(b"")
        assert [replies.get(0) for _ in sent] == sent
        assert replies.get(0) == EndOfReplies()  # the partial line is dropped
        assert replies.get(0) == EndOfReplies()


def test_the_longest_line_passes_and_a_longer_one_ends_it() -> None:
    replies = ReplyQueue()
    longest = b"x" * (MAX_LINE_BYTES - 1) + b"\n"
    replies.feed(longest)
    replies.feed(b"y" + longest)
    replies.feed(b"more\n")
    assert replies.get(0) == longest
    assert replies.get(0) == Overlong()
    assert replies.get(0) == Overlong()


def test_nothing_yet_is_none() -> None:
    replies = ReplyQueue()
    assert replies.get(0.01) is None
    replies.feed(b"half")
    assert replies.get(0.01) is None


def test_a_worker_that_nobody_listens_to_waits() -> None:
    replies = ReplyQueue()
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
    replies = ReplyQueue()
    thread = threading.Thread(target=replies.feed, args=(b"x\n" * 1_000_000,))
    thread.start()
    thread.join(0.1)
    replies.discard()
    thread.join(30)
    assert not thread.is_alive()
    assert replies.get(0) == EndOfReplies()
