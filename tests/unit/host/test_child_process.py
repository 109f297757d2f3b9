"""Starting real processes: what they inherit, talking to them, killing them with what they started."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.host.children import assert_gone, open_descriptors, python, threads

from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.child_process import start
from stemsep_envs.host.command import Command
from stemsep_envs.host.processes import run

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def test_the_environment_is_given_and_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    done = run(Command(("/usr/bin/env",), {"GIVEN": "1"}, Path("/")), timeout_seconds=60)
    assert done.stdout == "GIVEN=1\n"


@posix
def test_descriptors_are_not_inherited(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as stream:
        os.set_inheritable(stream.fileno(), True)
        done = run(python("import os; print(sorted(os.listdir('/proc/self/fd')))"), timeout_seconds=60)
    assert done.stdout == "['0', '1', '2', '3']\n"  # the last is the listing itself


@posix
def test_it_has_a_session_and_a_folder_of_its_own(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.getsid(0) == os.getpid() == os.getpgid(0))"
    command = Command((sys.executable, "-I", "-S", "-c", code), {}, tmp_path)
    assert run(command, timeout_seconds=60).stdout == f"{tmp_path} True\n"


@pytest.mark.parametrize(
    ("argv", "cwd", "words"),
    [
        ("/nowhere/tool", "/", "cannot start /nowhere/tool: No such file"),
        ("/etc/passwd", "/", "cannot start /etc/passwd: Permission denied"),
        ("/bin/true", "/nowhere", "cannot start /bin/true in /nowhere: No such file"),
    ],
)
@posix
def test_what_cannot_be_started_is_told(argv: str, cwd: str, words: str) -> None:
    before = open_descriptors()
    with pytest.raises(StemsepEnvError) as caught:
        run(Command((argv,), {}, Path(cwd)), timeout_seconds=60)
    assert caught.value.message.startswith(words)
    assert caught.value.code == "cannot_start"
    assert open_descriptors() == before


@posix
@pytest.mark.parametrize("threads_to_be_had", [0, 1, 2])
def test_a_process_whose_streams_cannot_be_served_is_ended(
    monkeypatch: pytest.MonkeyPatch, threads_to_be_had: int
) -> None:
    real_start, real_popen = threading.Thread.start, subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []
    left = [None] * threads_to_be_had

    def start_some(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        real_start(thread)

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real_popen(*arguments, **options))
        return started[-1]

    before = open_descriptors()
    monkeypatch.setattr(threading.Thread, "start", start_some)
    monkeypatch.setattr(subprocess, "Popen", noted)
    with pytest.raises(StemsepEnvError, match="can't start new thread") as caught:
        start(python("import time; time.sleep(60)"))
    assert caught.value.code == "cannot_start"
    assert "ulimit -u" in (caught.value.hint or "")
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert open_descriptors() == before
    assert not threads()


@posix
def test_without_word_of_its_children_nothing_is_started() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(StemsepEnvError, match="ignores SIGCHLD"):
            run(python("raise SystemExit(3)"), timeout_seconds=60)
    finally:
        signal.signal(signal.SIGCHLD, before)


@posix
def test_a_child_is_talked_to_and_killed() -> None:
    heard = bytearray()
    ended = threading.Event()

    def take(block: bytes) -> None:
        heard.extend(block)
        if not block:
            ended.set()

    child = start(
        python("import sys\nfor line in sys.stdin:\n    print(line.upper(), end='', flush=True)"), on_stdout=take
    )
    assert child.poll() is None
    assert child.wait(0.05) is None
    for line in (b"one\n", b"two\n"):
        child.send(line)
    child.end_input()
    assert child.wait(60) == 0
    assert ended.wait(60)
    assert bytes(heard) == b"ONE\nTWO\n"
    for _ in range(2):
        child.kill_tree()
    assert child.poll() == 0
    child.send(b"to nobody")
    assert not threads()


@posix
def test_what_left_the_group_ends_with_its_parent(tmp_path: Path) -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
time.sleep(100)
"""
    heard: queue.Queue[bytes] = queue.Queue()
    child = start(python(code), on_stdout=heard.put)
    daemon = int(heard.get(timeout=60))
    child.kill_tree()
    assert_gone(daemon)


@posix
def test_killing_a_child_that_ended_long_ago_kills_nobody_else() -> None:
    child = start(python(""))
    assert child.wait(60) == 0
    # Its number may belong to another group by now; this one is as near as a test can bring it.
    other = start(Command(("/bin/sleep", "60"), {}, Path("/")))
    try:
        child._process.pid = other.pid
        child.kill_tree()
        assert other.poll() is None
    finally:
        other.kill_tree()
    assert other.poll() == -signal.SIGKILL
