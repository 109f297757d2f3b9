"""Confines one worker as its command line says, starts it, and ends as it does."""

from __future__ import annotations

import os
import sys

if not __package__:  # run by path; appended, so that nothing there stands before the standard library
    sys.path.append(os.path.abspath(__file__).rsplit(os.sep, 4)[0])

from stemsep_envs.sandbox.launcher import (
    HOST_GONE,
    LAUNCHER_FAILED,
    SETUP_FAILED,
    control_groups,
    kernel,
    landlock,
    privilege_drop,
    resource_limits,
    seccomp,
    supervisor,
)
from stemsep_envs.sandbox.launcher.escaped_processes import SESSION_VARIABLE, kill_escaped
from stemsep_envs.sandbox.launcher.options import Options, each, one, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(arguments: list[str]) -> NoReturn:
    """Confine, start, watch, end."""
    options, command = parse(arguments)
    host = int(one(options, "parent") or 0)
    host_fd = kernel.pidfd_open(host)
    if os.getppid() != host:  # it ended before it could be watched
        os._exit(HOST_GONE)
    resource_limits.raise_open_files_limit()
    output = [(folder, int(most), one(options, "output-now")) for folder, most in options["output"]]
    worker = supervisor.start(lambda: _become_worker(options, command))
    status = LAUNCHER_FAILED << 8
    try:
        status = supervisor.wait(worker, host_fd, output[0] if output else None)
    finally:  # whatever happens here, nothing of the worker stays
        _end(options, worker, status)


def _end(options: Options, worker: supervisor.Worker, status: int) -> NoReturn:
    """End all that is left of a worker, then this process as the worker ended."""
    try:
        supervisor.end(worker.guardian)
        session = one(options, "session")
        if session:
            kill_escaped(session)
        if status == HOST_GONE << 8:  # else the host reads what the groups counted, and removes them
            control_groups.kill_groups(each(options, "cgroup"))
        supervisor.run_afterwards(each(options, "afterwards"), dict(options["env"]))
    finally:
        told_as_shells_do = bool(options["bwrap-program"] or options["shell-statuses"])
        supervisor.leave(status, statuses_are_signals=told_as_shells_do)


def _become_worker(options: Options, command: list[str]) -> NoReturn:
    """Turn this process into the confined worker. The order matters: each step needs what the next one takes away."""
    kernel.close_from(3)
    control_groups.join_groups(each(options, "cgroup"))
    uid = one(options, "uid")
    if uid is not None:
        _stop_being_root(options, int(uid))
    resource_limits.set_limits([(word, int(value)) for word, value in options["limit"]], os.getuid())
    if options["bwrap-program"]:
        _become_bubblewrap(options, command)
    os.chdir(one(options, "chdir") or "/")
    env = dict(options["env"])
    session = one(options, "session")
    if session:
        env[SESSION_VARIABLE] = session
    profile = one(options, "seccomp")
    if profile:
        kernel.no_new_privileges()
        landlock.restrict([(word, path) for word, path in options["allow"]])
        kernel.seccomp(seccomp.program(profile, os.uname().machine))
    os.execve(command[0], command, env)


def _stop_being_root(options: Options, uid: int) -> None:
    for folder in each(options, "own"):
        privilege_drop.chown_tree(folder, uid)
    writable = one(options, "stage-write")
    if writable is not None:
        privilege_drop.stage(each(options, "stage-read"), writable, uid)
    if not privilege_drop.may_end_others():
        raise OSError("root may not end what runs as another user: CAP_KILL is missing")
    if writable is not None:
        privilege_drop.drop(uid)
    else:
        privilege_drop.drop(uid, [path for word, path in options["allow"] if word != "gpu" and os.path.exists(path)])


def _become_bubblewrap(options: Options, command: list[str]) -> NoReturn:
    """Execute bubblewrap: its arguments out of the worker's sight, its environment empty, as it obeys LD_PRELOAD."""
    profile = one(options, "seccomp")
    own = each(options, "bwrap")
    if profile:
        own += ["--seccomp", str(_in_memory(seccomp.program(profile, os.uname().machine)))]
    arguments = _in_memory(b"".join(os.fsencode(word) + b"\0" for word in own))
    program = one(options, "bwrap-program") or ""
    os.execve(program, [program, "--args", str(arguments), "--", *command], {})


def _in_memory(data: bytes) -> int:
    """Return a descriptor to read the data from, which the next program inherits."""
    descriptor = os.memfd_create("stemsep-env", 0)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.set_inheritable(descriptor, True)
    return descriptor


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError, KeyError) as problem:
        os.write(2, f"stemsep-env: cannot confine the worker: {problem}\n".encode(errors="replace"))
        os._exit(SETUP_FAILED)
