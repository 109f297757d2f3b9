"""Locks between real processes, some of which die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stemsep_envs.errors import LimitError, UsageError
from stemsep_envs.host.locks import hold, is_held

HOLDS = """
import pathlib, sys, time
from stemsep_envs.host.locks import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
print("released", flush=True)
"""

COUNTS = """
import pathlib, sys
from stemsep_envs.host.locks import hold
lock, counter = map(pathlib.Path, sys.argv[1:])
for _ in range(50):
    with hold(lock):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def holder(path: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def test_held_and_released(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    assert not is_held(path)
    assert not path.exists(), "looking makes no file"
    for _ in range(2):
        with hold(path):
            assert is_held(path)
        assert not is_held(path)


def test_an_error_in_the_block_releases_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold(tmp_path / "lock"):
        raise KeyError
    assert not is_held(tmp_path / "lock")


def test_another_process_is_waited_for(tmp_path: Path) -> None:
    waited: list[bool] = []

    def on_wait() -> None:
        waited.append(is_held(tmp_path / "lock"))
        assert child.stdin is not None
        child.stdin.close()

    with holder(tmp_path / "lock") as child, hold(tmp_path / "lock", on_wait=on_wait):
        assert child.wait() == 0
    assert waited == [True]


def test_a_timeout_says_so(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as child:
        for seconds in (0, 0.2):
            with pytest.raises(LimitError) as caught, hold(tmp_path / "lock", timeout_seconds=seconds):
                pass
            assert caught.value.code == "lock_timeout"
        child.kill()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as child:
        assert is_held(tmp_path / "lock")
        with hold(tmp_path / "lock", on_wait=child.kill):
            pass
    assert child.returncode == -signal.SIGKILL


def test_a_child_of_the_holder_does_not_inherit_it(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert not is_held(tmp_path / "lock")
    finally:
        child.kill()
        child.wait()


def test_it_excludes_processes(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    command = [sys.executable, "-c", COUNTS, str(tmp_path / "lock"), str(tmp_path / "counter")]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert (tmp_path / "counter").read_text() == "200"


def test_it_excludes_threads(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with hold(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 80


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_waiting_can_be_interrupted(tmp_path: Path) -> None:
    def press_ctrl_c() -> None:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    with holder(tmp_path / "lock") as child:
        with pytest.raises(KeyboardInterrupt), hold(tmp_path / "lock", on_wait=press_ctrl_c):
            pass
        child.kill()
        child.wait()
        assert not is_held(tmp_path / "lock")


def test_what_on_wait_raises_is_not_mistaken_for_the_locks_own(tmp_path: Path) -> None:
    def on_wait() -> None:
        raise BrokenPipeError

    with holder(tmp_path / "lock") as child:
        with pytest.raises(BrokenPipeError), hold(tmp_path / "lock", on_wait=on_wait):
            pass
        child.kill()


def test_a_place_where_no_lock_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError), hold(tmp_path / "file" / "lock"):
        pass
    with pytest.raises(UsageError), hold(tmp_path):
        pass
