"""Environments by the beginning of their digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.environments.environment_store import environment_dir
from stemsep_envs.environments.lookup import named_environment, named_environments, named_or_all
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import Home

ONE, TWO = "a" * 64, "ab" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for digest in (ONE, TWO):
        environment_dir(home, digest).mkdir(parents=True)
    return home


def test_a_beginning_that_is_one_environments_names_it(home: Home) -> None:
    assert named_environment(home, "AA").digest == ONE
    assert named_environment(home, TWO).digest == TWO


@pytest.mark.parametrize(("prefix", "code"), [("b", "unknown_environment"), ("a", "usage")])
def test_a_beginning_of_none_or_of_several_is_refused(home: Home, prefix: str, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        named_environment(home, prefix)
    assert refused.value.code == code
    assert refused.value.hint


def test_an_environment_named_twice_is_one(home: Home) -> None:
    assert [item.digest for item in named_environments(home, ["aa", TWO, ONE])] == [ONE, TWO]


def test_naming_none_means_all(home: Home) -> None:
    assert {item.digest for item in named_or_all(home, ())} == {ONE, TWO}
    assert [item.digest for item in named_or_all(home, ("ab",))] == [TWO]
