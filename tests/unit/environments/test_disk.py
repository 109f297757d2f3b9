"""Counting what folders share: every inode once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from stemsep_envs.environments.disk import freed_between, survey
from stemsep_envs.host.tree_removal import remove_tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="counts blocks as POSIX does")

FILE_BYTES = 64 << 10


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, list[Path]]:
    """Owners a and b share one file; b and someone who is not surveyed another; each has one of its own."""
    made = {name: tmp_path / name for name in ("a", "b", "outside")}
    for folder in made.values():
        folder.mkdir()
        (folder / "own").write_bytes(os.urandom(FILE_BYTES))
    os.link(made["a"] / "own", made["a"] / "again")
    (made["a"] / "shared").write_bytes(os.urandom(FILE_BYTES))
    os.link(made["a"] / "shared", made["b"] / "shared")
    os.link(made["outside"] / "own", made["b"] / "others")
    (made["a"] / "link").symlink_to(made["b"])
    return {"a": [made["a"]], "b": [made["b"]]}


def near(count: int, files: int) -> bool:
    return files * FILE_BYTES <= count < files * FILE_BYTES + 32768


def test_each_inode_counts_once(folders: dict[str, list[Path]]) -> None:
    found = survey(folders)
    assert near(found.size("a"), 2)
    assert near(found.size("b"), 3)
    assert near(found.total(), 4)
    assert near(found.size("a", "b"), 4)


def test_what_is_shared_and_what_comes_back(folders: dict[str, list[Path]]) -> None:
    found = survey(folders)
    assert near(found.shared("a"), 1)
    assert near(found.shared("b"), 2)
    assert near(found.freeable(["a"]), 1)
    assert near(found.freeable(["b"]), 1)
    assert near(found.freeable(["a", "b"]), 3)


def test_what_came_back(folders: dict[str, list[Path]]) -> None:
    before = survey(folders)
    remove_tree(folders["b"][0])
    half = survey(folders)
    assert freed_between(before, half) == before.freeable(["b"])
    remove_tree(folders["a"][0])
    assert freed_between(before, survey(folders)) == before.freeable(["a", "b"])
    assert freed_between(half, survey(folders)) == half.freeable(["a"])


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert survey({"a": [tmp_path / "none"]}).total() == 0
