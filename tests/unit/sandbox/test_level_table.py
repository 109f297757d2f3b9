"""The table of levels: its order, and what follows from its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs import sandbox
from stemsep_envs.sandbox.launcher.seccomp import PROFILES, rules
from stemsep_envs.sandbox.level_table import AXES, LEVEL_ORDER, LEVELS, LOWEST, LevelRow, Trust, least_level, level_row

TRUSTS: tuple[Trust, ...] = ("reviewed", "unreviewed", "pickled")
STATES = ("open", "limited", "held")


def test_the_order_is_that_of_docs_security() -> None:
    assert LEVEL_ORDER == ("container", "namespaces", "seatbelt", "landlock", "hygiene")
    assert LOWEST == "hygiene"


def test_stronger_level_suffices_where_a_weaker_does() -> None:
    enough = [TRUSTS.index(row.enough_for) for row in LEVELS]
    assert enough == sorted(enough, reverse=True)


@pytest.mark.parametrize(
    ("trust", "level"), [("reviewed", "hygiene"), ("unreviewed", "landlock"), ("pickled", "namespaces")]
)
def test_the_least_level_for_code(trust: Trust, level: str) -> None:
    assert least_level(trust) == level


@pytest.mark.parametrize("row", LEVELS, ids=lambda row: row.name)
def test_a_row_promises_a_state_for_every_axis(row: LevelRow) -> None:
    assert tuple(row.promises) == AXES
    assert set(row.promises.values()) <= set(STATES)


@pytest.mark.parametrize("row", LEVELS, ids=lambda row: row.name)
def test_unreviewed_code_needs_files_and_network_held(row: LevelRow) -> None:
    if row.enough_for == "reviewed":
        assert (row.is_boundary, row.keeps_files) == (False, False)
    else:
        assert (row.is_boundary, row.keeps_files, row.promises["network"]) == (True, True, "held")


def test_unpickling_runs_only_where_the_machine_is_hidden() -> None:
    for row in LEVELS:
        hidden = row.promises["files_read"] == row.promises["processes"] == "held"
        assert (row.enough_for == "pickled") == hidden


@pytest.mark.parametrize("row", LEVELS, ids=lambda row: row.name)
def test_a_row_s_module_has_its_class(row: LevelRow) -> None:
    module, _, maker = row.implementation.partition(".")
    text = (Path(sandbox.__file__).with_name(f"{module}.py")).read_text("utf-8")
    assert f"class {maker}:" in text


def test_every_platform_has_a_level() -> None:
    for sys_platform in ("linux", "darwin", "win32"):
        assert any(row.is_on(sys_platform) for row in LEVELS)


def test_a_level_is_found_by_its_name() -> None:
    assert level_row("landlock").name == "landlock"
    with pytest.raises(KeyError):
        level_row("fortress")


def test_every_profile_of_system_calls_has_rules() -> None:
    for profile in PROFILES:
        assert rules(profile)
