"""Starting real processes: streams, deadlines, what is inherited, how an end is told."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.errors import LimitError, StemsepEnvError
from stemsep_envs.host import processes
from stemsep_envs.host.processes import Command, how_it_ended, run, start, words_for_status

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def python(code: str, *arguments: str, env: dict[str, str] | None = None) -> Command:
    return Command((sys.executable, "-I", "-S", "-c", code, *arguments), env or {}, Path(__file__).parent)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pipe-")]


# --- run


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


def assert_gone(pid: int) -> None:
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)


# --- what a process gets


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


# --- start


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


# --- words


@pytest.mark.parametrize(
    ("status", "words", "over_limit"),
    [
        (0, "exit status 0", False),
        (2, "exit status 2", False),
        (128, "exit status 128", False),
        (255, "exit status 255", False),
        (-9, "killed by SIGKILL (often: the system ran out of memory)", True),
        (137, "exit status 137, which stands for SIGKILL (often: the system ran out of memory)", True),
        (-11, "killed by SIGSEGV (a crash in native code)", False),
        (-24, "killed by SIGXCPU (more processor time than allowed)", True),
        (153, "exit status 153, which stands for SIGXFSZ (a larger file than allowed)", True),
        (-15, "killed by SIGTERM", False),
        (-64, "killed by SIGRTMAX", False),
        (-200, "killed by signal 200", False),
        (3221225477, "exit status 3221225477", False),
    ],
)
@posix
def test_an_end_in_words(status: int, words: str, *, over_limit: bool) -> None:
    assert words_for_status(status) == words
    assert how_it_ended(status).over_limit is over_limit


def test_a_command_is_shown_as_a_shell_takes_it() -> None:
    command = Command(("tool", "a b", "$(x)", "--index", "https://u:secret@host/simple"), {}, Path("/"))
    assert command.shown() == "tool 'a b' '$(x)' --index 'https://u:***@host/simple'" or command.shown() == (
        "tool 'a b' '$(x)' --index https://u:***@host/simple"
    )


# --- interrupts


def test_an_interrupt_waits_until_a_started_child_is_noted() -> None:
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def interrupted_while_starting() -> None:
        with processes._signals_wait():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end of the block")

    with pytest.raises(KeyboardInterrupt):
        interrupted_while_starting()
    assert reached
    assert signal.getsignal(signal.SIGINT) is before
