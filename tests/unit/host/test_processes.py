"""Running real processes to their end: streams, deadlines, what is left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from tests.unit.host.children import assert_gone, open_descriptors, python, threads

from stemsep_envs.errors import LimitError
from stemsep_envs.host.command import Command
from stemsep_envs.host.processes import run

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def test_collects_both_streams_and_the_status() -> None:
    done = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), timeout_seconds=60)
    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert done.elapsed_seconds > 0
    assert not threads()


def test_both_streams_full_at_once() -> None:
    code = "import os\nfor _ in range(64):\n    os.write(2, b'e' * 65536); os.write(1, b'o' * 65536)"
    done = run(python(code), timeout_seconds=60)
    assert done.status == 0
    assert done.stdout == "o" * len(done.stdout)
    assert len(done.stdout) == len(done.stderr) == 1 << 20, "the end is kept"


def test_echoes_a_large_input() -> None:
    data = bytes(range(32, 127)) * 20_000
    code = "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    import hashlib

    assert run(python(code), timeout_seconds=60, stdin=data).stdout.strip() == hashlib.sha256(data).hexdigest()


def test_a_large_input_that_is_not_read() -> None:
    assert run(python("print('done')"), timeout_seconds=60, stdin=bytes(10_000_000)).stdout == "done\n"


def test_a_deadline_holds_though_a_large_input_is_not_read() -> None:
    with pytest.raises(LimitError) as caught:
        run(python("import time; time.sleep(100)"), timeout_seconds=0.3, stdin=bytes(10_000_000))
    assert caught.value.code == "deadline"
    assert "did not finish within 0.3 s" in caught.value.message
    assert "time.sleep(100)" in (caught.value.hint or "")
    assert not threads()


def test_text_that_is_no_text_does_no_harm() -> None:
    done = run(python("import os; os.write(1, b'\\xff\\n'); os.write(2, b'\\xfe')"), timeout_seconds=60)
    assert (done.stdout, done.stderr) == ("�\n", "�")


def test_tells_of_each_line() -> None:
    lines: list[str] = []
    code = "import os; os.write(2, b'one\\r\\n\\ntw'); os.write(2, b'o\\nlast')"
    run(python(code), timeout_seconds=60, on_stderr_line=lines.append)
    assert lines == ["one", "", "two", "last"]


def test_an_error_in_the_callers_function_reaches_the_caller() -> None:
    def burst(_: str) -> None:
        raise KeyError("burst")

    with pytest.raises(KeyError):
        run(python("import os; os.write(2, b'a\\nb\\n')"), timeout_seconds=60, on_stderr_line=burst)


def test_runs_a_hundred_times_and_leaves_nothing() -> None:
    run(python(""), timeout_seconds=60)
    before = open_descriptors()
    for _ in range(100):
        run(Command(("/bin/true",), {}, Path("/")), timeout_seconds=60)
    assert open_descriptors() == before
    assert not threads()


@posix
def test_a_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    code = f"""
import os, time, pathlib
pid = os.fork()
if pid:
    pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(pid))
time.sleep(100)
"""
    with pytest.raises(LimitError):
        run(python(code), timeout_seconds=1)
    assert_gone(int((tmp_path / "pid").read_text()))


@posix
def test_what_is_left_of_the_group_ends_with_it(tmp_path: Path) -> None:
    code = """
import os, time
pid = os.fork()
if pid == 0:
    time.sleep(100)
print(pid)
"""
    done = run(python(code), timeout_seconds=60)
    assert_gone(int(done.stdout))


@posix
def test_a_daemon_that_holds_the_pipes_does_not_hold_us() -> None:
    code = """
import os, time
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    os.write(writing, b"x")
    time.sleep(60)
os.read(reading, 1)
"""
    before = open_descriptors()
    done = run(python(code), timeout_seconds=60)
    os.kill(int(done.stdout), signal.SIGKILL)
    assert not threads()
    assert open_descriptors() == before


@posix
def test_an_interrupt_ends_the_process() -> None:
    pids: list[int] = []

    def press_ctrl_c(line: str) -> None:
        pids.append(int(line))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(
            python("import os, time; os.write(2, b'%d\\n' % os.getpid()); time.sleep(100)"),
            timeout_seconds=60,
            on_stderr_line=press_ctrl_c,
        )
    assert_gone(pids[0])
    assert not threads()
