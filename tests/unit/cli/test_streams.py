"""What is said beside the result: whole where it can be written, and no hindrance where it cannot."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from stemsep_envs.cli.streams import Willing, mend_streams

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere stderr stays as it was")


def stream(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(Willing(descriptor)), "utf-8", "backslashreplace", line_buffering=True)


def test_a_slow_reader_of_a_pipe_that_does_not_wait_gets_all() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = bytearray()

    def read() -> None:
        while block := os.read(reading, 1000):
            got.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    stream(writing).write("é\n" * 100_000)
    os.close(writing)
    reader.join()
    os.close(reading)
    assert got.decode() == "é\n" * 100_000


def test_what_cannot_be_written_is_dropped_from_then_on() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    said = stream(writing)
    for _ in range(3):
        said.write("nobody reads\n")
    assert Path(f"/proc/self/fd/{writing}").readlink() == Path(os.devnull)
    os.close(writing)


def test_a_stream_that_a_test_put_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    mend_streams()
    assert sys.stderr is before
