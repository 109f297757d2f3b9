"""What can be said of macOS without one: the profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
