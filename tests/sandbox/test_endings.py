"""However a worker, its launcher or its host ends: nothing of the worker is left, and the end has its name."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.arena import Said, end_processes_with, gone_soon, processes_with
from tests.sandbox.conftest import HERE, UNPRIVILEGED_UID, _available, python_as, require

from stemsep_envs.host.child_process import start
from stemsep_envs.host.processes import Completed, run
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.sandbox import launcher
from stemsep_envs.sandbox.launcher_command import worker_exit_cause
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import LevelName, Limits, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ

DEAF_DAEMON = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", sys.argv[1]]
for again in range(2):
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.execve(sys.executable, sleep, os.environ)
        os._exit(0)
    os.wait()
time.sleep(0.2)
print("ready", flush=True)
time.sleep(60)
"""
"""A worker that ignores polite signals and has left two daemons behind; what hides better is among the attacks."""

GROUPS = Path("/sys/fs/cgroup")


@pytest.fixture
def word() -> Iterator[str]:
    word = secrets.token_hex(16)
    yield word
    end_processes_with(word)


@pytest.fixture
def work() -> Iterator[Path]:
    with scratch_dir(Path("/tmp"), "stemsep-env-endings-") as folder:
        folder.chmod(0o755)
        (folder / "work").mkdir()
        (folder / "work").chmod(0o777)
        yield folder / "work"


def policy(work: Path, **limits: Any) -> Policy:
    return Policy(interpreter_dirs(), work, worker_environ(work, keep_memory=False), Limits(**limits))


def worker(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code, *arguments)


def finished(level: LevelName, work: Path, code: str, **limits: int) -> tuple[Completed, str]:
    with level_named(level).confine(worker(code), policy(work, **limits)) as command:
        done = run(command, timeout_seconds=60)
        return done, worker_exit_cause(command, done.status).words


def mounts_here() -> list[str]:
    """The mounts of this machine, without those of a container engine that another test may have running."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "docker" not in line]


def groups_left() -> list[Path]:
    return [path for path in GROUPS.glob("**/stemsep-env-*") if f"-{os.getpid()}-" in path.name]


def test_killing_the_tree_leaves_nothing(any_level: LevelName, work: Path, word: str) -> None:
    mounts = mounts_here()
    with level_named(any_level).confine(worker(DEAF_DAEMON, word), policy(work)) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "ready\n"
        assert len(processes_with(word)) >= 3
        child.kill_tree()
    assert gone_soon(word)
    assert mounts_here() == mounts
    assert groups_left() == []


def test_killing_the_launcher_alone_leaves_nothing(any_level: LevelName, work: Path, word: str) -> None:
    with level_named(any_level).confine(worker(DEAF_DAEMON, word), policy(work)) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "ready\n"
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
        if any_level in {"namespaces", "landlock"}:
            assert gone_soon(word)
        child.kill_tree()
    assert gone_soon(word)


HIDDEN_DAEMONS = """
import os, sys, time
sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", sys.argv[1]]
for again in range(3):
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.execve(sys.executable, sleep, {})  # nothing in its environment tells whose it is
        os._exit(0)
    os.wait()
time.sleep(0.2)
print("ready", flush=True)
os._exit(7)
"""


def test_daemons_that_hide_end_with_their_worker(any_level: LevelName, work: Path, word: str) -> None:
    with level_named(any_level).confine(worker(HIDDEN_DAEMONS, word), policy(work)) as command:
        done = run(command, timeout_seconds=60)
        assert (done.status, done.stdout) == (7, "ready\n"), done.stderr
        assert processes_with(word) == []


def test_daemons_that_hide_end_with_a_worker_that_is_killed(any_level: LevelName, work: Path, word: str) -> None:
    code = HIDDEN_DAEMONS.replace("os._exit(7)", "time.sleep(60)")
    with level_named(any_level).confine(worker(code, word), policy(work)) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "ready\n"
        child.kill_tree()
        assert child.wait(0) == -signal.SIGKILL
    assert gone_soon(word)


def test_orphans_that_ended_are_collected(any_level: LevelName, work: Path) -> None:
    """They would count as processes of the user's for as long as a session lives."""
    code = "import os\nfor _ in range(5):\n  if os.fork() == 0:\n    os.fork()\n    os._exit(0)\n  os.wait()\n"
    code += "import time\ntime.sleep(1.2)\nprint('ready', flush=True)\ninput()"
    with level_named(any_level).confine(worker(code), policy(work)) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "ready\n"
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        assert len(children) == 2  # the guardian, and the worker or what stands for it
        child.kill_tree()


def test_the_bound_of_outputs_may_change(any_level: LevelName, work: Path) -> None:
    bound = work.parent / "bound"
    bound.write_text("1000000000")
    changing = Policy(
        interpreter_dirs(), work, worker_environ(work, keep_memory=False), Limits(output_bytes=1), output_file=bound
    )
    code = "open('f', 'wb').write(b'x' * 20_000_000)\nprint('written', flush=True)\nimport time\ntime.sleep(60)"
    with level_named(any_level).confine(worker(code), changing) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "written\n"
        time.sleep(1.2)
        assert child.poll() is None
        bound.write_text("10000000")
        status = child.wait(30)
        child.kill_tree()
        assert status == 122
        assert worker_exit_cause(command, status).words == "killed: it wrote more than its 10 MB of output"


def test_a_stopped_worker_is_ended(any_level: LevelName, work: Path, word: str) -> None:
    code = "import os, signal; print('ready', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    with level_named(any_level).confine(worker(code, word), policy(work)) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "ready\n"
        child.kill_tree()
    assert gone_soon(word)


def test_killing_the_host_leaves_nothing(any_level: LevelName, user: str, stage: Path, work: Path, word: str) -> None:
    host = subprocess.Popen(
        python_as(user, stage, HERE / "host.py", any_level, DEAF_DAEMON, word, str(work)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert host.stdout is not None
        said = json.loads(host.stdout.readline())
        assert said["said"] == "ready\n"
        # The thread that started it is long gone.
        time.sleep(0.2)
        assert len(processes_with(word)) >= 3
        host.kill()
        host.wait()
        assert gone_soon(word)
        assert gone_soon_folder(f"stemsep-env-{host.pid}-")
    finally:
        host.kill()
        host.wait()
        if host.stdout is not None:
            host.stdout.close()


def gone_soon_folder(prefix: str) -> bool:
    deadline = time.monotonic() + 5
    while list(GROUPS.glob(f"**/{prefix}*")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_worker_cannot_end_its_launcher(level: LevelName, work: Path) -> None:
    """It signals everything it can name: its parent, its group, and everybody."""
    code = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for target in (os.getppid(), 0):
    try:
        os.kill(target, signal.SIGTERM)
    except OSError:
        pass
print("still here", flush=True)
os._exit(7)
"""
    done, _ = finished(level, work, code)
    assert (done.status, done.stdout) == (7, "still here\n"), done.stderr


FORGETFUL_FIRST_PROCESS = """
import os, sys, time
def call():
    return open("/proc/1/syscall").read().split()
while call()[0] != "61":  # waits for its children
    time.sleep(0.01)
forget = bytes.fromhex("b89d000000" "bf01000000" "31f6" "0f05")  # prctl(PR_SET_PDEATHSIG, 0)
pause = bytes.fromhex("b822000000" "0f05" "ebf7")  # for ever
with open("/proc/1/mem", "r+b", 0) as memory:
    memory.seek(int(call()[-1], 16))
    memory.write(forget + pause)
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.1)
        os._exit(0)  # an orphan that ends wakes it
    os._exit(0)
os.wait()
while call()[0] != "34":
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(60)
"""
"""A worker that writes into its sandbox's first process, which then no longer wants to die with its parent."""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its machine code is for x86-64")
def test_rewritten_first_process_ends_with_the_launcher(user: str, stage: Path, work: Path, word: str) -> None:
    missing = _available("namespaces")
    require(missing is None, missing or "")
    host = subprocess.Popen(
        python_as(user, stage, HERE / "host.py", "namespaces", FORGETFUL_FIRST_PROCESS, word, str(work)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert host.stdout is not None
        if not select.select([host.stdout], [], [], 10)[0]:
            pytest.skip("this kernel keeps a process's memory from its descendants")
        os.kill(json.loads(host.stdout.readline())["pid"], signal.SIGKILL)
        assert gone_soon(word)
    finally:
        host.kill()
        host.wait()
        if host.stdout is not None:
            host.stdout.close()


def test_a_launcher_that_does_not_hear_takes_all_with_it(any_level: LevelName, work: Path, word: str) -> None:
    """Asked, and killed after a while: what left the worker's group has no parent then by which it could be found."""
    code = HIDDEN_DAEMONS.replace("os._exit(7)", "time.sleep(60)")
    with level_named(any_level).confine(worker(code, word), policy(work)) as command:
        said = Said()
        child = start(command, on_stdout=said)
        assert said.line() == "ready\n"
        os.kill(child.pid, signal.SIGSTOP)
        child.kill_tree()
        if any_level != "container":  # whose engine is asked when the block is left
            assert gone_soon(word)
    assert gone_soon(word)


@pytest.mark.parametrize("status", [0, 1, 3, 119])
def test_the_exit_status_is_the_workers(any_level: LevelName, work: Path, status: int) -> None:
    done, _ = finished(any_level, work, f"raise SystemExit({status})")
    assert done.status == status, done.stderr


@pytest.mark.parametrize("status", launcher.OWN_STATUSES)
def test_a_worker_cannot_forge_the_launchers_statuses(any_level: LevelName, work: Path, status: int) -> None:
    done, _ = finished(any_level, work, f"raise SystemExit({status})")
    assert done.status == 1


def test_a_crash_is_told_by_its_signal(any_level: LevelName, work: Path) -> None:
    done, words = finished(any_level, work, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    # In a process namespace the worker isn't its first process, so the signal kills it there too.
    assert done.status == -signal.SIGSEGV
    assert "SIGSEGV" in words


def test_too_much_output_is_told(any_level: LevelName, work: Path) -> None:
    code = "import time\nfor n in range(40): open(f'f{n}', 'wb').write(b'x' * 1000000)\ntime.sleep(60)"
    done, words = finished(any_level, work, code, output_bytes=10_000_000)
    assert done.status == 122
    assert words == "killed: it wrote more than its 10 MB of output"


def test_a_large_file_is_told(any_level: LevelName, work: Path) -> None:
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('f', 'wb').truncate(3000000)"
    done, words = finished(any_level, work, code, file_bytes=1_000_000)
    assert done.status == -signal.SIGXFSZ
    assert words == "killed: it wrote a file larger than 1 MB"


def test_death_by_memory_is_told_where_groups_can_be_made(any_level: LevelName, work: Path) -> None:
    code = "import mmap\nb = mmap.mmap(-1, 1 << 28)\nfor o in range(0, 1 << 28, 4096): b[o] = 1"
    with level_named(any_level).confine(worker(code), policy(work, memory_bytes=100_000_000)) as command:
        done = run(command, timeout_seconds=60)
        words = worker_exit_cause(command, done.status).words
        bounded = command.groups.events is not None  # type: ignore[attr-defined]  # of this platform's levels
    assert done.status != 0
    if bounded:
        assert words == "killed: it used more than its 100 MB of memory"


def test_what_cannot_be_confined_is_not_run(level: LevelName, work: Path) -> None:
    missing = Policy((*interpreter_dirs(), Path("/nowhere/at/all")), work, {}, Limits())
    code = f"open({str(work / 'ran')!r}, 'w')"
    with level_named(level).confine(worker(code), missing) as command:
        done = run(command, timeout_seconds=60)
    if level != "landlock":
        assert done.status != 0
        assert not (work / "ran").exists()
    else:  # a path that isn't there is a path that can't be reached
        assert done.status == 0


def test_root_is_not_root_inside(level: LevelName, user: str, stage: Path, work: Path) -> None:
    if user != "root":
        pytest.skip("it is not root outside")
    code = "import os; print(os.getuid(), os.getgid(), os.getgroups(), open('/proc/self/status').read())"
    done, _ = finished(level, work, code)
    uid, gid, groups, *_ = done.stdout.split(" ", 3)
    assert int(uid) > 60_000
    assert (gid, groups[0]) == (uid, "[")
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        held = next(int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith(name))
        # At the landlock level one may stay, to read below root's home: never more than that one.
        assert held in ({0} if level != "landlock" else {0, 1 << 1, 1 << 2}), name
    assert "NoNewPrivs:\t1" in done.stdout
    assert "Seccomp:\t2" in done.stdout
    assert int(uid) != UNPRIVILEGED_UID


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="takes root, and setpriv")
@pytest.mark.parametrize(
    ("taken", "landlock", "remedy"),
    [
        ("all", True, ""),
        ("sys_admin", True, ""),
        ("chown", False, "CAP_CHOWN"),
        ("setuid", False, "ordinary user"),
        ("kill", False, "CAP_KILL"),
    ],
)
def test_a_root_with_fewer_rights_gets_what_it_can_have(taken: str, landlock: bool, remedy: str) -> None:
    """As in containers: it may not mount, and perhaps not become another user. It is told, and never crashes."""
    script = (
        "import json; from stemsep_envs.sandbox.levels import level_named as level; "
        "measured = [level(name).measure() for name in ('namespaces', 'landlock')]; "
        "print(json.dumps([(found.available, found.remedy) for found in measured]))"
    )
    command = ["setpriv", f"--bounding-set=-{taken}", f"--inh-caps=-{taken}", sys.executable, "-c", script]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    namespaces, found = json.loads(said)
    assert namespaces[0] is False
    assert ("CAP_KILL" if taken == "kill" else "landlock level") in namespaces[1]
    assert found[0] is landlock
    assert remedy in (found[1] or "")
