"""A policy turned into an engine's arguments, and the filter into the engines' format."""

from __future__ import annotations

import errno
import io
import tarfile
from pathlib import Path
from typing import Any

from stemsep_envs.sandbox.container import _image, _mount, arguments, seccomp_profile
from stemsep_envs.sandbox.policy import Limits, Policy
from stemsep_envs.sandbox.system_files import System

SYSTEM = System((Path("/usr"),), ((Path("/lib"), "usr/lib"),), (Path("/dev/nvidia0"),), ())
POLICY = Policy(
    readable=(Path("/srv/env"),),
    writable_dir=Path("/srv/work"),
    env={"HOME": "/srv/work"},
    limits=Limits(memory_bytes=1000, processes=7, file_bytes=2000, cpu_seconds=3, tmpfs_bytes=5000),
)


def words() -> str:
    profile = Path("/profile.json")
    return " ".join(arguments(POLICY, SYSTEM, "docker", container="name", profile=profile, user="1:2"))


def test_nothing_is_given_that_the_policy_does_not_name() -> None:
    text = words()
    for expected in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--user 1:2",
        "no-new-privileges",
        "seccomp=/profile.json",
        "--memory 1000 --memory-swap 1000",
        "--pids-limit 7",
        "--ulimit fsize=2000:2000",
        "--ulimit cpu=3:3",
        "--ulimit core=1:1",
        "--ulimit nofile=4096:4096",
        "size=5000",
        "--mount type=bind,source=/usr,target=/usr,readonly",
        "--mount type=bind,source=/srv/env,target=/srv/env,readonly",
        "--mount type=bind,source=/srv/work,target=/srv/work",
        "--env HOME=/srv/work",
    ):
        assert expected in text
    assert "/srv/work,readonly" not in text
    assert "nvidia" not in text
    assert "--privileged" not in text


def test_a_path_with_a_comma_stays_one_field() -> None:
    mounted = _mount(Path('/a,b"c'), Path("/d"), writable=False)
    assert mounted == 'type=bind,"source=/a,b""c",target=/d,readonly'


def matching(profile: Any, name: str, *words: int) -> int | None:
    """What an engine's filter does to a call: an errno, or None for allowed."""
    for rule in profile["syscalls"]:
        if rule["names"] == [name] and all(_holds(test, words) for test in rule["args"]):
            return int(rule["errnoRet"])
    return None


def _holds(test: Any, words: tuple[int, ...]) -> bool:
    word = words[test["index"]]
    if test["op"] == "SCMP_CMP_MASKED_EQ":
        return bool(word & test["value"] == test["valueTwo"])
    return bool(word != test["value"])


def test_the_engines_filter_says_the_same() -> None:
    profile = seccomp_profile()
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert matching(profile, "mount") == errno.EPERM
    assert matching(profile, "clone3") == errno.ENOSYS
    assert matching(profile, "clone", 0x10000000) == errno.EPERM
    assert matching(profile, "clone", 0x003D0F00) is None
    assert matching(profile, "socket", 2) == errno.EAFNOSUPPORT
    assert matching(profile, "socket", 1) is None
    assert matching(profile, "ioctl", 0, 0x5412) == errno.EPERM
    assert matching(profile, "ioctl", 0, 0x5413) is None
    assert matching(profile, "fchmodat", 0, 0, 0o4755) == errno.EPERM
    assert matching(profile, "fchmodat", 0, 0, 0o755) is None
    assert matching(profile, "openat", 0, 0, 0o100, 0o4755) == errno.EPERM
    assert matching(profile, "openat", 0, 0, 0, 0o4755) is None
    assert matching(profile, "personality", 0) is None
    assert matching(profile, "personality", 0x40000) == errno.EPERM


def test_image_holds_system_links_and_room_for_the_init() -> None:
    system = System(SYSTEM.readable, (*SYSTEM.links, (Path("/sbin"), "usr/sbin")), (), ())
    with tarfile.open(fileobj=io.BytesIO(_image(system))) as archive:
        assert [(member.name, member.linkname) for member in archive] == [("sbin", ""), ("lib", "usr/lib")]
