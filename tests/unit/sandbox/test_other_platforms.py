"""What can be said of macOS and Windows without one: the profile, and the job's limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stemsep_envs.sandbox.launcher.windows import limits_for
from stemsep_envs.sandbox.policy import Policy
from stemsep_envs.sandbox.seatbelt import profile

POLICY = Policy(readable=(Path('/srv/a"b\\c'),), writable_dir=Path("/srv/work"), env={})


def test_the_profile_denies_what_it_does_not_name() -> None:
    lines = profile(POLICY).splitlines()
    assert lines[:2] == ["(version 1)", "(deny default)"]
    assert lines[-1] == "(deny network*)"
    assert '(allow file-write* (subpath "/srv/work"))' in lines
    assert not any("/Users" in line or "iokit" in line for line in lines)
    assert "(allow iokit-open)" in profile(replace(POLICY, gpu=True))


def test_a_path_cannot_end_its_quotes() -> None:
    assert r'(subpath "/srv/a\"b\\c")' in profile(POLICY)


def test_a_job_ends_with_its_launcher_and_has_its_limits() -> None:
    limits = limits_for(1000, 7)
    assert limits.basic.limit_flags == 0x2000 | 0x200 | 0x8
    assert (limits.job_memory, limits.basic.active_processes) == (1000, 8)
    assert limits_for(0, 0).basic.limit_flags == 0x2000
