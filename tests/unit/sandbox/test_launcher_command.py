"""The launcher's command line, made and read; how an end is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stemsep_envs.host.command import Command
from stemsep_envs.sandbox import launcher
from stemsep_envs.sandbox.cgroups import Groups
from stemsep_envs.sandbox.landlock import ruleset_options
from stemsep_envs.sandbox.launcher.options import each, one, parse
from stemsep_envs.sandbox.launcher_command import (
    SHARED_LIMITS,
    ConfinedCommand,
    common_options,
    launch,
    process_limit,
    resource_limits,
    worker_exit_cause,
)
from stemsep_envs.sandbox.policy import Limits, Policy
from stemsep_envs.sandbox.system_files import System

POLICY = Policy(
    readable=(Path("/srv/env"),),
    writable_dir=Path("/srv/work"),
    env={"HOME": "/srv/work"},
    limits=Limits(memory_bytes=1000, processes=7, file_bytes=2000, cpu_seconds=3, output_bytes=4000),
)
SYSTEM = System((Path("/usr"),), ((Path("/lib"), "usr/lib"),), (Path("/dev/nvidia0"),), ())
GROUPS = Groups((Path("/sys/fs/cgroup/x"),), bounds_memory=True, bounds_processes=True)


def test_the_command_line_is_read_as_it_was_made() -> None:
    made = launch(common_options(POLICY, Groups(), 42), ("python", "--parent", "--"), POLICY, Groups())
    options, command = parse(made.argv[4:])
    assert command == ["python", "--parent", "--"]
    assert one(options, "parent") == "42"
    assert one(options, "uid") is None
    limits = {word: int(value) for word, value in options["limit"]}
    assert limits == {**SHARED_LIMITS, "cpu": 3, "file": 2000, "memory": 1000}
    assert limits["core"] == 1, "with 0 a crash starts the machine's helper for core dumps"
    assert options["output"] == [["/srv/work", "4000"]]


def test_launcher_starts_isolated_without_variables() -> None:
    made = launch([], ("python",), POLICY, Groups())
    assert made.argv[1:3] == ("-I", "-S")
    assert made.env == {}


@pytest.mark.parametrize("line", [["--nonsense", "1", "--", "x"], ["x"], ["--uid", "1"], []])
def test_another_command_line_is_refused(line: list[str]) -> None:
    with pytest.raises(ValueError, match=r"unknown option|no command"):
        parse(line)


def test_control_groups_take_the_place_of_resource_limits() -> None:
    options = common_options(POLICY, GROUPS, 1)
    assert ("limit", "memory", "1000") not in options
    assert ("cgroup", "/sys/fs/cgroup/x") in options
    assert process_limit(POLICY, GROUPS) is None
    assert process_limit(POLICY, Groups()) == 7


def test_an_accelerators_addresses_are_not_bounded() -> None:
    assert ("limit", "data", "1000") in common_options(replace(POLICY, gpu=True), Groups(), 1)


def test_a_ruleset_names_what_the_policy_names() -> None:
    options, _ = parse(launch(ruleset_options(POLICY, SYSTEM), ("python",), POLICY, Groups()).argv[4:])
    allowed = {path: word for word, path in options["allow"]}
    assert allowed["/srv/env"] == "read"
    assert allowed["/srv/work"] == "write"
    assert allowed["/lib"] == "read"
    assert [path for path, word in allowed.items() if word == "write"] == ["/srv/work"]
    assert "/dev/nvidia0" not in allowed
    assert each(options, "seccomp") == ["landlock"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (launcher.TOO_MUCH_OUTPUT, "killed: it wrote more than its 0 MB of output"),
        (launcher.SETUP_FAILED, "not started: its confinement could not be put in place"),
        (-24, "killed: it used more than its 3 s of processor time"),
        (2, "exit status 2"),
    ],
)
def test_an_end_is_told_in_words(status: int, words: str) -> None:
    command = ConfinedCommand(("x",), {}, Path("/"), groups=Groups(), limits=POLICY.limits)
    assert worker_exit_cause(command, status).words == words


def test_the_kernels_count_tells_of_memory(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    command = ConfinedCommand(
        ("x",), {}, Path("/"), groups=Groups(events=events), limits=Limits(memory_bytes=5_000_000)
    )
    events.write_text("low 0\noom 1\noom_kill 1\n")
    assert worker_exit_cause(command, -9).words == "killed: it used more than its 5 MB of memory"
    events.write_text("low 0\noom 0\noom_kill 1\n")
    assert "not in its own share" in worker_exit_cause(command, -9).words
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert worker_exit_cause(command, -9).words == "killed: it used more than its 5 MB of memory"
    events.write_text("low 0\noom_kill 0\n")
    assert "SIGKILL" in worker_exit_cause(command, -9).words
    events.unlink()
    assert "SIGKILL" in worker_exit_cause(command, -9).words


@pytest.mark.parametrize("status", [-24, -25, 152, 153])
def test_a_limit_that_was_not_set_ended_nobody(status: int) -> None:
    command = ConfinedCommand(("x",), {}, Path("/"), limits=Limits())
    assert "None" not in worker_exit_cause(command, status).words
    assert not worker_exit_cause(command, status).over_limit
    limited = ConfinedCommand(("x",), {}, Path("/"), limits=POLICY.limits)
    assert worker_exit_cause(limited, status).over_limit


def test_a_full_disk_is_a_limit() -> None:
    command = ConfinedCommand(("x",), {}, Path("/"), limits=Limits())
    assert "disk" in worker_exit_cause(command, launcher.DISK_FULL).words
    assert worker_exit_cause(command, launcher.DISK_FULL).over_limit
    assert not worker_exit_cause(command, launcher.LAUNCHER_FAILED).over_limit
    assert worker_exit_cause(Command(("x",), {}, Path("/")), -9).over_limit


def test_an_unconfined_command_ends_in_plain_words() -> None:
    assert worker_exit_cause(Command(("x",), {}, Path("/")), 2).words == "exit status 2"


def test_a_bound_on_data_leaves_addresses_free() -> None:
    policy = replace(POLICY, limits=Limits(memory_bytes=1000, memory_of="data"))
    assert resource_limits(policy, Groups())["data"] == 1000
    assert "memory" not in resource_limits(policy, Groups())
