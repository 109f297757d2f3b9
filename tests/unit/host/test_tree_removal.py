"""Removing files and folders: hostile trees, other processes at the same time."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.host.conftest import names_in
from tests.unprivileged import unprivileged

from stemsep_envs.host import tree_removal
from stemsep_envs.host.tree_removal import remove_tree

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_removes_whatever_is_there(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
    (tmp_path / "file").touch()
    remove_tree(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    remove_tree(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    remove_tree(tmp_path / "link")
    assert names_in(tmp_path) == set()


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_bytes(b"precious")
    outside.chmod(0o555)
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "to-folder").symlink_to(outside)
    (tree / "deep" / "to-folder").symlink_to(outside / "folder")
    (tree / "deep" / "to-file").symlink_to(outside / "file")
    (tree / "deep" / "up").symlink_to("..")
    (tree / "hard").hardlink_to(outside / "file")
    (tmp_path / "top").symlink_to(tree)
    remove_tree(tmp_path / "top")
    assert names_in(tree) == {"to-folder", "deep", "hard"}
    remove_tree(tree)
    assert names_in(tmp_path) == {"outside"}
    assert names_in(outside) == {"folder", "file"}
    assert (outside / "file").read_bytes() == b"precious"
    assert outside.stat().st_mode & 0o777 == 0o555
    outside.chmod(0o755)


@pytest.mark.parametrize("mode", [0o555, 0o500, 0o300, 0o000])
def test_removes_what_is_read_only(mode: int) -> None:
    with unprivileged() as parent:
        tree = parent / "tree"
        for folder in ("a/b/c", "a/d", "e"):
            (tree / folder).mkdir(parents=True)
            (tree / folder / "file").touch(mode=0o400)
        for folder in ("a/b/c", "a/b", "a/d", "a", "e", "."):
            (tree / folder).chmod(mode)
        remove_tree(tree)
        assert names_in(parent) == set()


def test_does_not_change_the_folder_that_a_tree_lies_in() -> None:
    with unprivileged() as parent:
        (parent / "tree").mkdir()
        parent.chmod(0o500)
        with pytest.raises(PermissionError):
            remove_tree(parent / "tree")
        assert parent.stat().st_mode & 0o777 == 0o500


@linux
def test_removes_a_tree_without_bottom(tmp_path: Path) -> None:
    """Deeper than Python's stack and than the number of descriptors, and its path longer than any path may be."""
    tree = tmp_path / "tree"
    tree.mkdir()
    current = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=current)
        os.close(os.open("file", os.O_CREAT, dir_fd=current))
        below = os.open("deeper", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    remove_tree(tree)
    assert names_in(tmp_path) == set()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_removes_names_that_are_no_text(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "new\nline").mkdir(parents=True)
    (tree / os.fsdecode(b"\xff\xfe")).mkdir()
    (tree / "-rf").touch()
    remove_tree(tree)
    assert names_in(tmp_path) == set()


def test_a_tree_that_vanishes_meanwhile_is_fine(tmp_path: Path) -> None:
    for _ in range(10):
        tree = tmp_path / "tree"
        for number in range(100):
            folder = tree / str(number % 10) / str(number)
            folder.mkdir(parents=True)
            (folder / "file").touch()
        other = threading.Thread(target=shutil.rmtree, args=(tree,), kwargs={"ignore_errors": True})
        other.start()
        remove_tree(tree)
        other.join()
        assert names_in(tmp_path) == set()


GROWS_FOR_EVER = """
import os, pathlib, sys
tree, parent = pathlib.Path(sys.argv[1]), os.getppid()
print(flush=True)
for n in range(200_000):
    if os.getppid() != parent:
        break
    try:
        (tree / "a" / str(n)).mkdir(parents=True)
        (tree / "a" / str(n) / "file").touch()
        (tree / str(n)).mkdir()
    except OSError:
        pass
"""


def test_removing_a_tree_that_grows_meanwhile_ends(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    with subprocess.Popen([sys.executable, "-c", GROWS_FOR_EVER, str(tree)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        refusals = []
        for _ in range(3):
            try:
                remove_tree(tree)
            except OSError as error:
                refusals.append(error.errno)
        child.kill()
    assert set(refusals) <= {errno.ENOTEMPTY, errno.EISDIR}
    remove_tree(tree)
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("found_by", ["descriptor", "name"])
def test_a_link_put_in_a_folders_place_meanwhile_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found_by: str
) -> None:
    """Exchanged in the moment between the look at the folder's mode and its change."""
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    (tree / "locked").mkdir(parents=True)
    outside.mkdir()
    for folder, mode in ((outside, 0o500), (tree / "locked", 0)):
        folder.chmod(mode)
    if found_by == "name":
        monkeypatch.setattr(tree_removal, "_OF_DESCRIPTORS", tmp_path / "no-such-folder")
    real = os.chmod

    def exchange_first(name: str, mode: int, **where: Any) -> None:
        if not (tree / "locked").is_symlink():
            (tree / "locked").rename(tree / "moved")
            (tree / "locked").symlink_to(outside)
        real(name, mode, **where)

    monkeypatch.setattr(os, "chmod", exchange_first)
    with suppress(OSError):
        remove_tree(tree)
    assert outside.stat().st_mode & 0o777 == 0o500
    monkeypatch.undo()
    remove_tree(tree)
    assert names_in(tmp_path) == {"outside"}


def test_a_tree_that_is_dug_deeper_meanwhile_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    monkeypatch.setattr(tree_removal, "_MOST_FOLDERS", 50)
    real = os.rename

    def dig_first(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        deepest = os.open(old, os.O_RDONLY, dir_fd=src_dir_fd)
        os.mkdir("deeper", dir_fd=deepest)
        os.close(deepest)
        real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    (tree / "a" / "b").mkdir()
    monkeypatch.setattr(os, "rename", dig_first)
    with pytest.raises(OSError, match="not empty"):
        remove_tree(tree)
    monkeypatch.undo()
    remove_tree(tree)
    assert names_in(tmp_path) == set()


def test_a_folder_is_emptied_though_it_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_removal, "_MOST_NAMES", 3)
    for number in range(40):
        (tmp_path / "tree" / "inner" / str(number)).mkdir(parents=True)
        (tmp_path / "tree" / f"file-{number}").touch()
    remove_tree(tmp_path / "tree")
    assert names_in(tmp_path) == set()
