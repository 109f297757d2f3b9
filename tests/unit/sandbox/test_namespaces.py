"""A policy turned into bubblewrap's arguments."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unprivileged import unprivileged

from stemsep_envs.errors import UsageError
from stemsep_envs.sandbox.namespaces import (
    _LIMIT_PROCESSES,
    arguments,
    links_among,
    policy_mounts,
    root_options,
    staged_source,
)
from stemsep_envs.sandbox.policy import Limits, Policy
from stemsep_envs.sandbox.system_files import System

SYSTEM = System(
    readable=(Path("/usr"),),
    links=((Path("/lib"), "usr/lib"),),
    gpu_nodes=(Path("/dev/nvidia0"),),
    gpu_readable=(Path("/sys"),),
)
POLICY = Policy(
    readable=(Path("/srv/env"), Path("/srv/env/lib"), Path("/usr/lib/python3"), Path("/srv/weights.ckpt")),
    writable_dir=Path("/srv/work"),
    env={"HOME": "/srv/work"},
    limits=Limits(tmpfs_bytes=1000),
)


def words(policy: Policy = POLICY) -> str:
    return " ".join(arguments(policy, policy_mounts(policy, SYSTEM), SYSTEM, str))


def test_only_what_the_policy_names_is_shown() -> None:
    assert [target for _, target, _ in policy_mounts(POLICY, SYSTEM)] == [
        Path("/srv/env"),
        Path("/srv/weights.ckpt"),
        Path("/srv/work"),
    ]
    assert "--ro-bind /srv/env /srv/env" in words()
    assert "--bind /srv/work /srv/work" in words()
    assert "--ro-bind /srv/weights.ckpt /srv/weights.ckpt" in words()


def test_readable_folder_in_the_writable_one_is_bound_last() -> None:
    policy = replace(POLICY, readable=(Path("/srv/work/inputs"), Path("/srv")))
    text = words(policy)
    assert (
        text.index("--ro-bind /srv /srv") < text.index("--bind /srv/work ") < text.index("--ro-bind /srv/work/inputs")
    )


def test_a_path_behind_a_link_is_shown_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "real" / "env").mkdir(parents=True)
    (tmp_path / "named").symlink_to("real")
    policy = replace(POLICY, readable=(tmp_path / "named" / "env",))
    shown = {(source, target) for source, target, _ in policy_mounts(policy, SYSTEM)}
    real = (tmp_path / "real" / "env").resolve()
    assert {(real, tmp_path / "named" / "env"), (real, real)} <= shown


@pytest.mark.parametrize("path", ["/", "/proc/1", "/dev", "/dev/shm"])
def test_what_no_worker_may_have_is_a_bug(path: str) -> None:
    with pytest.raises(UsageError, match="a worker cannot be shown"):
        policy_mounts(replace(POLICY, readable=(Path(path),)), SYSTEM)


def test_all_is_unshared_and_nothing_unbounded_is_writable() -> None:
    text = words()
    for word in ("user", "ipc", "pid", "net", "uts"):
        assert f"--unshare-{word}" in text
    for option in ("--disable-userns", "--new-session", "--die-with-parent", "--clearenv"):
        assert option in text
    assert "--tmpfs /proc/sys --remount-ro /proc/sys" in text
    assert "--size 1000 --tmpfs /dev/shm" in text
    assert "--size 1000 --perms 1777 --tmpfs /tmp" in text
    assert text.index("--bind /srv/work") < text.index("--remount-ro /dev --remount-ro / ")


def test_the_environment_is_exactly_the_policys() -> None:
    assert words().endswith("--clearenv --setenv HOME /srv/work")


def test_the_accelerator_is_shown_only_where_it_is_needed() -> None:
    assert "nvidia" not in words()
    assert "/sys /sys" not in words()
    assert "--dev-bind /dev/nvidia0 /dev/nvidia0" in words(replace(POLICY, gpu=True))


def test_root_finds_its_paths_on_the_stage() -> None:
    mounts = policy_mounts(POLICY, SYSTEM)
    source = staged_source(mounts)
    assert [source(origin) for origin, _, _ in mounts] == ["/tmp/0", "/tmp/1", "/tmp/2"]
    assert root_options(mounts, POLICY, 61_500) == [
        ("uid", "61500"),
        ("own", "/srv/work"),
        ("stage-read", "/srv/env"),
        ("stage-read", "/srv/weights.ckpt"),
        ("stage-write", "/srv/work"),
    ]


def test_a_link_to_an_interpreter_stays_a_link(tmp_path: Path) -> None:
    """As a file it would look for its library beside itself."""
    real, link = tmp_path / "python" / "bin" / "python3", tmp_path / "bin" / "python3"
    for file in (real, link):
        file.parent.mkdir(parents=True)
    real.touch()
    link.symlink_to(real)
    policy = replace(POLICY, readable=(link, tmp_path / "python"))
    mounts = policy_mounts(policy, SYSTEM)
    links = links_among(mounts)
    assert links == {link: real}
    rest = [mount for mount in mounts if mount[1] not in links]
    text = " ".join(arguments(policy, rest, SYSTEM, str, links))
    assert f"--symlink {real} {link}" in text
    assert f"--ro-bind {tmp_path / 'python'} {tmp_path / 'python'}" in text
    inside = replace(POLICY, readable=(link, tmp_path))
    assert links_among(policy_mounts(inside, SYSTEM)) == {}


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize(("held_to", "limited_to"), [(None, 500), (300, 300), (700, 500)])
def test_the_number_of_processes_is_the_least_of_two(shell: str, held_to: int | None, limited_to: int) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")

    def hold() -> None:
        if held_to is not None:
            resource.setrlimit(resource.RLIMIT_NPROC, (held_to, held_to))

    ask = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC)[0])"
    with unprivileged():
        done = subprocess.run(
            [program, "-c", _LIMIT_PROCESSES, "500", sys.executable, "-I", "-S", "-c", ask],
            capture_output=True,
            text=True,
            preexec_fn=hold,
            check=False,
        )
    assert (done.stdout, done.stderr) == (f"{limited_to}\n", "")
