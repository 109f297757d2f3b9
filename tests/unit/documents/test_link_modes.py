"""Which way files are joined to the package cache, and what shares them."""

from __future__ import annotations

from functools import partial

import pytest

from stemsep_envs.documents.link_modes import LINK_MODES, UNSHARED, Need, best_link_mode, link_mode_row


def best(**met: bool) -> tuple[str, str]:
    facts: dict[Need, bool] = {"same_file_system": True, "cloning": True, "read_only_view": True}
    facts |= {need: met[need] for need in facts if need in met}
    return best_link_mode({need: partial(bool, is_met) for need, is_met in facts.items()})


@pytest.mark.parametrize(
    ("met", "mode", "words"),
    [
        ({}, "clone", "the file system clones files"),
        ({"read_only_view": False}, "clone", "the file system clones files"),
        ({"cloning": False}, "hardlink", "workers see the environment read-only"),
        ({"cloning": False, "read_only_view": False}, "copy", "no sandbox of this platform shows workers"),
        ({"same_file_system": False}, "copy", "the package cache is on another file system"),
        ({"same_file_system": False, "cloning": False}, "copy", "the package cache is on another file system"),
    ],
)
def test_the_best_mode_that_is_possible(met: dict[str, bool], mode: str, words: str) -> None:
    chosen, why = best(**met)
    assert chosen == mode
    assert words in why


def test_cloning_is_tried_on_one_file_system_only() -> None:
    def not_asked() -> bool:
        raise AssertionError

    assert best_link_mode({"same_file_system": lambda: False, "cloning": not_asked, "read_only_view": not_asked})


def test_hard_links_alone_share_files() -> None:
    assert [row.name for row in LINK_MODES if row.shares_files] == ["hardlink"]
    assert not link_mode_row(UNSHARED).shares_files


def test_what_shares_files_needs_a_read_only_view() -> None:
    for row in LINK_MODES:
        assert not row.shares_files or "read_only_view" in row.needs
    assert LINK_MODES[-1].needs == ()
