"""The launcher itself, started as the levels start it, when something in it goes wrong."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sandbox.arena import end_processes_with, gone_soon

from stemsep_envs.sandbox import launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is Linux's")

BROKEN = """
import sys
from stemsep_envs.sandbox.launcher import __main__ as launcher, supervisor
def wait(*_):
    raise {problem}
supervisor.wait = wait
launcher.main(sys.argv[1:])
"""


@pytest.mark.parametrize("problem", ["RecursionError", "OSError(24, 'Too many open files')", "KeyboardInterrupt"])
def test_whatever_goes_wrong_nothing_of_the_worker_stays(problem: str) -> None:
    word = secrets.token_hex(16)
    worker = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", word]
    code = BROKEN.format(problem=problem)
    options = ["--parent", str(os.getpid()), "--chdir", "/"]
    try:
        done = subprocess.run([sys.executable, "-c", code, *options, "--", *worker], check=False, timeout=60)
        assert done.returncode == launcher.LAUNCHER_FAILED
        assert gone_soon(word)
    finally:
        end_processes_with(word)


def test_host_that_ignores_children_or_signals_does_no_harm(tmp_path: Path) -> None:
    """What it was told to do with signals is handed down to all that it starts."""

    def as_some_hosts_are() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    code = "import signal; print(signal.getsignal(17) == signal.SIG_DFL, signal.pthread_sigmask(0, ()))"
    code += "; raise SystemExit(7)"
    worker = [sys.executable, "-I", "-S", "-c", code]
    program = Path(launcher.__file__).with_name("__main__.py")
    options = ["--parent", str(os.getpid()), "--chdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program), *options, "--", *worker],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=as_some_hosts_are,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (7, "True set()\n"), done.stderr


def test_launcher_ending_by_the_workers_signal_leaves_no_core(tmp_path: Path) -> None:
    """It has the host's limits, and the memory that would be written is the host's."""

    def how_it_died(command: list[str]) -> int:
        cores_allowed = ["/bin/sh", "-c", 'ulimit -c "$(ulimit -H -c)"; exec "$@"', "sh", *command]
        child = subprocess.Popen(cores_allowed, cwd=tmp_path, stderr=subprocess.DEVNULL)
        ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.wait(60)
        assert ended is not None
        return ended.si_code

    dies = [sys.executable, "-I", "-S", "-c", "import os; os.abort()"]
    if how_it_died(dies) != os.CLD_DUMPED:
        pytest.skip("no core dumps are made here at all")
    program = Path(launcher.__file__).with_name("__main__.py")
    options = ["--parent", str(os.getpid()), "--chdir", "/", "--limit", "core", "1"]
    assert how_it_died([sys.executable, "-I", "-S", str(program), *options, "--", *dies]) == os.CLD_KILLED


def test_a_low_limit_on_open_files_is_no_reason_to_end_a_worker(tmp_path: Path) -> None:
    tmp_path.joinpath(*["deeper"] * 30).mkdir(parents=True)
    program = Path(launcher.__file__).with_name("__main__.py")
    options = ["--parent", str(os.getpid()), "--chdir", "/", "--output", str(tmp_path), "1000000000"]
    worker = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1.2)"]
    few_files = ["/bin/sh", "-c", 'ulimit -S -n 20; exec "$@"', "sh"]
    command = [*few_files, sys.executable, "-I", "-S", str(program), *options, "--", *worker]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
