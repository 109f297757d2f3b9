"""How much a folder holds, though someone hides it; and the other walks of a launcher through hostile folders."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unprivileged import unprivileged

from stemsep_envs.host.tree_removal import remove_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is Linux's")
if sys.platform == "linux":
    from stemsep_envs.sandbox.launcher import output_size, privilege_drop

MEGABYTE = 1_000_000


def holds_more(folder: Path, most_bytes: int, is_called: Callable[[], bool] = lambda: False) -> bool:
    return output_size.holds_more(str(folder), most_bytes, is_called)


@contextmanager
def deep_tree(parent: Path, depth: int) -> Iterator[Path]:
    """A tree deeper than Python's stack, the number of descriptors and the length of a path."""
    tree = parent / "tree"
    tree.mkdir()
    current = os.open(tree, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=current)
        below = os.open("deeper", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(os.open("file", os.O_CREAT, dir_fd=current))
    try:
        yield tree
    finally:
        os.close(current)
        remove_tree(tree)


def test_files_and_folders_are_counted_once_each(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x" * 3 * MEGABYTE)
    (tmp_path / "again").hardlink_to(tmp_path / "inner" / "file")
    (tmp_path / "link").symlink_to("/usr")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    assert holds_more(tmp_path, 2 * MEGABYTE)
    assert not holds_more(tmp_path, 4 * MEGABYTE)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_a_folder_that_its_owner_closed_is_counted(mode: int) -> None:
    with unprivileged() as folder:
        (folder / "closed" / "inner").mkdir(parents=True)
        (folder / "closed" / "inner" / "file").write_bytes(b"x" * 3 * MEGABYTE)
        (folder / "closed" / "inner").chmod(mode)
        (folder / "closed").chmod(mode)
        assert holds_more(folder, 2 * MEGABYTE)
        (folder / "closed" / "inner").chmod(mode)
        assert not holds_more(folder, 4 * MEGABYTE)


def test_a_folder_that_cannot_be_opened_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    real = output_size._open

    def refused(name: str, parent: int | None) -> int:
        if name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(name, parent)

    monkeypatch.setattr(output_size, "_open", refused)
    assert holds_more(tmp_path, 1 << 40)


def test_folder_renamed_at_each_look_counts_as_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0").mkdir()
    real = output_size._open

    def renamed_first(name: str, parent: int | None) -> int:
        if parent is not None:
            (tmp_path / name).rename(tmp_path / str(int(name) + 1))
        return real(name, parent)

    monkeypatch.setattr(output_size, "_open", renamed_first)
    assert holds_more(tmp_path, 1 << 40)


def test_what_vanishes_now_and_then_is_fine(tmp_path: Path) -> None:
    stop = threading.Event()

    def make_and_remove() -> None:
        while not stop.is_set():
            (tmp_path / "short-lived").mkdir()
            (tmp_path / "short-lived").rmdir()

    for number in range(200):
        (tmp_path / f"file-{number}").touch()
    busy = threading.Thread(target=make_and_remove)
    busy.start()
    try:
        assert not any(holds_more(tmp_path, 1 << 40) for _ in range(50))
    finally:
        stop.set()
        busy.join()


def test_a_tree_without_bottom_is_too_much(tmp_path: Path) -> None:
    with deep_tree(tmp_path, 1200) as tree:
        assert holds_more(tree, 1 << 40)


def test_more_files_than_anybody_needs_are_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_size, "_MOST_FILES", 20)
    for number in range(25):
        (tmp_path / str(number)).touch()
    assert holds_more(tmp_path, 1 << 40)


def test_a_look_that_takes_too_long_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_size, "_MOST_SECONDS", -1.0)
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert holds_more(tmp_path, 1 << 40)


def test_a_look_is_broken_off_when_something_else_is_to_be_done(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).write_bytes(b"x" * 10_000)
    assert not holds_more(tmp_path, 900_000, lambda: True)
    assert holds_more(tmp_path, 900_000)


def test_a_removed_file_that_a_child_keeps_open_is_counted(tmp_path: Path) -> None:
    code = "import os; f = open('f', 'wb'); f.write(b'x' * 3_000_000); f.flush(); os.unlink('f'); print(flush=True)"
    code += "; input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert holds_more(tmp_path, 2 * MEGABYTE)
        assert not holds_more(tmp_path, 4 * MEGABYTE)
        child.kill()
    assert not holds_more(tmp_path, 2 * MEGABYTE)


def test_a_disk_is_full_before_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = output_size.Disk(str(tmp_path))
    assert not disk.is_full()
    monkeypatch.setattr(disk, "_free_bytes", lambda: 1)
    assert disk.is_full()
    monkeypatch.setattr(disk, "_free_bytes", lambda: None)
    assert not disk.is_full()


def test_a_tree_without_bottom_changes_its_owner(tmp_path: Path) -> None:
    owner = 61_000 if os.geteuid() == 0 else os.getuid()
    with deep_tree(tmp_path, 1200) as tree:
        (tree / "link").symlink_to(tmp_path / "outside")
        (tmp_path / "outside").touch()
        for number in range(3):
            (tree / "deeper" / f"beside-{number}" / "inner").mkdir(parents=True)
        privilege_drop.chown_tree(str(tree), owner)
        assert {path.lstat().st_uid for path in (tree, tree / "link", tree / "deeper" / "beside-2" / "inner")} == {
            owner
        }
        assert (tmp_path / "outside").stat().st_uid == os.getuid()
        current = os.open(tree, os.O_RDONLY)
        for _ in range(1200):
            below = os.open("deeper", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        assert os.stat("file", dir_fd=current).st_uid == owner
        os.close(current)
