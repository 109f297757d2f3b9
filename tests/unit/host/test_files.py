"""Writing, publishing and removing: crashes, full disks, hostile trees, other writers at the same time."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unprivileged import unprivileged

from stemsep_envs.errors import LimitError, UsageError
from stemsep_envs.host import files, tree_removal

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("needs root to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- write_atomic


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "file"
    for data in (b"one", b"", b"three" * 1000):
        files.write_atomic(path, data)
        assert path.read_bytes() == data
    assert names_in(path.parent) == {"file"}


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_link_is_replaced_and_its_target_let_alone(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    files.write_atomic(tmp_path / "link", b"mine")
    assert (tmp_path / "outside").read_bytes() == b"precious"
    assert (tmp_path / "link").read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("where", ["file/x", "file/deeper/x", "folder"])
def test_what_stands_in_the_way_is_told(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        files.write_atomic(tmp_path / where, b"x")
    assert caught.value.code in {"not_a_folder", "not_writable"}
    assert names_in(tmp_path) == {"file", "folder"}
    assert names_in(tmp_path / "folder") == {"full"}


def test_a_full_disk_keeps_the_old_content_and_leaves_nothing(tiny_disk: Path) -> None:
    files.write_atomic(tiny_disk / "file", b"old")
    with pytest.raises(LimitError) as caught:
        files.write_atomic(tiny_disk / "file", bytes(2 << 20))
    assert caught.value.code == "no_space"
    with pytest.raises(LimitError):
        files.copy_hashed(io.BytesIO(bytes(2 << 20)), tiny_disk / "copy", max_bytes=1 << 30)
    assert (tiny_disk / "file").read_bytes() == b"old"
    assert names_in(tiny_disk) == {"file"}


def test_a_folder_without_permission() -> None:
    with unprivileged() as folder:
        closed = folder / "closed"
        closed.mkdir()
        (folder / "ready").touch()
        closed.chmod(0o500)
        for attempt in (
            lambda: files.write_atomic(closed / "x", b"x"),
            lambda: files.ensure_dir(closed / "x"),
            lambda: files.scratch_dir(closed, "x").__enter__(),
            lambda: files.publish(folder / "ready", closed / "x"),
        ):
            with pytest.raises(UsageError, match="permission denied") as caught:
                attempt()
            assert caught.value.code == "not_writable"


def test_a_folder_that_may_be_written_to_and_not_read() -> None:
    with unprivileged() as folder:
        folder.chmod(0o300)
        files.write_atomic(folder / "x", b"x")
        assert (folder / "x").read_bytes() == b"x"


WRITES_FOR_EVER = """
import os, pathlib, sys
from stemsep_envs.host import files, trees
path, size, parent = pathlib.Path(sys.argv[1]), int(sys.argv[2]), os.getppid()
print("ready", flush=True)
while os.getppid() == parent:
    for letter in b"abcdefgh":
        files.write_atomic(path, bytes([letter]) * size)
"""


def writer(path: Path, size: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, str(path), str(size)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def assert_whole(path: Path, size: int) -> None:
    data = path.read_bytes()
    assert len(data) == size
    assert len(set(data)) == 1


def test_killed_while_writing_the_content_is_old_or_new(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 300_000
    files.write_atomic(path, b"0" * size)
    chance = random.Random(0)
    for _ in range(12):
        with writer(path, size) as child:
            time.sleep(chance.uniform(0.005, 0.06))
            child.send_signal(signal.SIGKILL)
        assert_whole(path, size)
    leftovers = names_in(tmp_path) - {"file"}
    assert len(leftovers) <= 12
    for name in leftovers:
        os.utime(tmp_path / name, (0, 0))  # a long time ago
    (tmp_path / ".stemsep-env-not-ours.tmp").touch()
    os.utime(tmp_path / ".stemsep-env-not-ours.tmp", (0, 0))
    code = (
        "import sys, pathlib; from stemsep_envs.host import files; files.write_atomic(pathlib.Path(sys.argv[1]), b'x')"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert names_in(tmp_path) == {"file", ".stemsep-env-not-ours.tmp"}


def test_several_writers_at_once(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 300_000
    children = [writer(path, size) for _ in range(3)]
    files.write_atomic(path, b"0" * size)
    for _ in range(200):
        assert_whole(path, size)
    for child in children:
        with child:
            child.kill()
    assert_whole(path, size)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    class Interrupted(io.BytesIO):
        def readinto(self, _: object, /) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.copy_hashed(Interrupted(), tmp_path / "copy", max_bytes=10)
    assert names_in(tmp_path) == set()


# --- copy_hashed, sha256_of


def test_copies_and_tells_what_it_copied(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    expected = hashlib.sha256(data).hexdigest(), len(data)
    assert files.copy_hashed(io.BytesIO(data), tmp_path / "copy", max_bytes=len(data)) == expected
    assert files.sha256_of(tmp_path / "copy") == expected


def test_a_copy_that_grows_too_large_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(LimitError) as caught:
        files.copy_hashed(io.BytesIO(bytes(11)), tmp_path / "copy", max_bytes=10)
    assert caught.value.code == "output_too_large"
    assert names_in(tmp_path) == set()


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        files.sha256_of(tmp_path / "file", check=check)


# --- publish


def test_publishes_a_file_over_another(tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(b"new")
    (tmp_path / "final").write_bytes(b"old")
    files.publish(tmp_path / "staged", tmp_path / "final")
    assert (tmp_path / "final").read_bytes() == b"new"
    assert names_in(tmp_path) == {"final"}


def test_publishes_a_file_from_another_file_system(tiny_disk: Path, tmp_path: Path) -> None:
    (tiny_disk / "staged").write_bytes(b"new")
    files.publish(tiny_disk / "staged", tmp_path / "out" / "final")
    assert (tmp_path / "out" / "final").read_bytes() == b"new"
    assert names_in(tiny_disk) == set()
    assert names_in(tmp_path / "out") == {"final"}


def test_a_full_disk_while_publishing_keeps_what_was_there(tiny_disk: Path, tmp_path: Path) -> None:
    (tiny_disk / "final").write_bytes(b"old")
    (tmp_path / "staged").write_bytes(bytes(2 << 20))
    with pytest.raises(LimitError):
        files.publish(tmp_path / "staged", tiny_disk / "final")
    assert (tiny_disk / "final").read_bytes() == b"old"
    assert names_in(tiny_disk) == {"final"}
    assert (tmp_path / "staged").exists()


def test_publishes_a_folder_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    files.publish(tmp_path / "one", tmp_path / "deep" / "final")
    with pytest.raises(FileExistsError):
        files.publish(tmp_path / "two", tmp_path / "deep" / "final")
    assert names_in(tmp_path / "deep" / "final") == {"one"}
    assert names_in(tmp_path / "two") == {"two"}


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(UsageError):
        files.publish(tmp_path / "folder", tmp_path / "file")
    with pytest.raises(UsageError):
        files.publish(tmp_path / "file", tmp_path / "folder")
    assert (tmp_path / "file").read_bytes() == b"old"


# --- scratch folders


def test_a_scratch_folder_is_private_and_goes_whatever_happens(tmp_path: Path) -> None:
    def use() -> None:
        with files.scratch_dir(tmp_path / "new", "s-") as scratch:
            assert scratch.stat().st_mode & 0o777 == 0o700
            (scratch / "deep").mkdir()
            (scratch / "deep" / "file").touch()
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert names_in(tmp_path / "new") == set()


def test_a_scratch_folder_that_someone_removed_is_fine(tmp_path: Path) -> None:
    with files.scratch_dir(tmp_path, "s-") as scratch:
        scratch.rmdir()


@linux
def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = {f"s-{os.getpid()}-aa", f"s-{gone.pid}-new", f"t-{gone.pid}-aa", "s-x-aa", f"s-{gone.pid}-link"}
    for name in (*kept - {f"s-{gone.pid}-link"}, f"s-{gone.pid}-aa"):
        (tmp_path / name / "inner").mkdir(parents=True)
        if not name.endswith("-new"):
            os.utime(tmp_path / name, (1, 1))
    (tmp_path / f"s-{gone.pid}-link").symlink_to(tmp_path / "s-x-aa")
    files.sweep_scratch(tmp_path, "s-")
    assert names_in(tmp_path) == kept


def test_what_cannot_be_removed_does_not_hide_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    def use(parent: Path) -> None:
        with files.scratch_dir(parent, "s-"):
            parent.chmod(0o500)
            raise KeyError("what happened")

    with unprivileged() as folder:
        with pytest.raises(KeyError, match="what happened"):
            use(folder)
        assert folder.stat().st_mode & 0o777 == 0o500
    assert "cannot remove" in caplog.text


@pytest.mark.parametrize("parent", ["file", "file/deeper"])
def test_a_scratch_folder_below_a_file(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        files.scratch_dir(tmp_path / parent, "s-").__enter__()


# --- folders for another user


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_no_name_in_a_folder_of_another_user_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours, victim = tmp_path / "theirs", tmp_path / "ours", tmp_path / "victim"
    theirs.mkdir()
    ours.mkdir()
    os.chown(theirs, 61_000, 61_000)
    victim.write_bytes(b"precious")

    def swap_all() -> None:
        """Put a link to another's file in the place of every folder, as who owns `theirs` may at any moment."""
        for entry in list(os.scandir(theirs)):
            if not entry.is_symlink():
                real[os, "rename"](entry.path, f"{entry.path}.kept")
                Path(entry.path).symlink_to(victim)

    def watched(owner: object, name: str) -> object:
        def call(*args: object, **kwargs: object) -> object:
            done = real[owner, name](*args, **kwargs)
            if not acting:
                acting.append(True)
                swap_all()
                acting.clear()
            return done

        return call

    acting: list[bool] = []
    windows: list[tuple[object, str]] = [(os, name) for name in ("mkdir", "open", "fstat", "fchown", "chown", "rename")]
    windows += [(Path, name) for name in ("mkdir", "stat", "lstat", "chmod", "rename")]
    real = {(owner, name): getattr(owner, name) for owner, name in windows}
    for owner, name in windows:
        monkeypatch.setattr(owner, name, watched(owner, name))
    made = files.make_owned_dir(theirs, ours=ours)
    monkeypatch.undo()
    assert (victim.stat().st_uid, victim.stat().st_mode & 0o777) == (0, 0o644)
    kept = made.with_name(f"{made.name}.kept")
    assert (kept.stat().st_uid, kept.stat().st_gid, kept.stat().st_mode & 0o777) == (61_000, 61_000, 0o700)
    assert names_in(ours) == set()


def test_a_folder_for_another_user_is_new_and_its_name_is_not_known(tmp_path: Path) -> None:
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    made = {files.make_owned_dir(tmp_path / "theirs", ours=tmp_path / "ours") for _ in range(3)}
    assert {path.name for path in made} == names_in(tmp_path / "theirs")
    assert all(path.is_dir() and len(path.name) == 16 for path in made)


def test_who_locked_himself_out_gets_his_folder_all_the_same() -> None:
    with unprivileged() as folder:
        for name in ("theirs", "ours"):
            (folder / name).mkdir()
        (folder / "theirs").chmod(0)
        assert files.make_owned_dir(folder / "theirs", ours=folder / "ours").is_dir()


# --- holes


def test_zeros_become_holes_on_request(tmp_path: Path) -> None:
    content = bytes(3 << 20) + b"sound" + bytes(3 << 20)
    digest = hashlib.sha256(content).hexdigest()
    for sparse in (False, True):
        copied = files.copy_hashed(io.BytesIO(content), tmp_path / "copy", max_bytes=1 << 30, sparse=sparse)
        assert copied == (digest, len(content))
        assert (tmp_path / "copy").read_bytes() == content
        full = (tmp_path / "copy").stat().st_blocks * 512 >= len(content)
        assert full != sparse


# --- remove_tree


def test_removes_whatever_is_there(tmp_path: Path) -> None:
    files.remove_tree(tmp_path / "nothing")
    (tmp_path / "file").touch()
    files.remove_tree(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    files.remove_tree(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    files.remove_tree(tmp_path / "link")
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
    files.remove_tree(tmp_path / "top")
    assert names_in(tree) == {"to-folder", "deep", "hard"}
    files.remove_tree(tree)
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
        files.remove_tree(tree)
        assert names_in(parent) == set()


def test_does_not_change_the_folder_that_a_tree_lies_in() -> None:
    with unprivileged() as parent:
        (parent / "tree").mkdir()
        parent.chmod(0o500)
        with pytest.raises(PermissionError):
            files.remove_tree(parent / "tree")
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
    files.remove_tree(tree)
    assert names_in(tmp_path) == set()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_removes_names_that_are_no_text(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "new\nline").mkdir(parents=True)
    (tree / os.fsdecode(b"\xff\xfe")).mkdir()
    (tree / "-rf").touch()
    files.remove_tree(tree)
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
        files.remove_tree(tree)
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
                files.remove_tree(tree)
            except OSError as error:
                refusals.append(error.errno)
        child.kill()
    assert set(refusals) <= {errno.ENOTEMPTY, errno.EISDIR}
    files.remove_tree(tree)
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
        files.remove_tree(tree)
    assert outside.stat().st_mode & 0o777 == 0o500
    monkeypatch.undo()
    files.remove_tree(tree)
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
        files.remove_tree(tree)
    monkeypatch.undo()
    files.remove_tree(tree)
    assert names_in(tmp_path) == set()


def test_a_folder_is_emptied_though_it_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_removal, "_MOST_NAMES", 3)
    for number in range(40):
        (tmp_path / "tree" / "inner" / str(number)).mkdir(parents=True)
        (tmp_path / "tree" / f"file-{number}").touch()
    files.remove_tree(tmp_path / "tree")
    assert names_in(tmp_path) == set()


# --- small ones


def test_touch_never_fails(tmp_path: Path) -> None:
    files.touch(tmp_path / "new")
    assert (tmp_path / "new").exists()
    files.touch(tmp_path / "none" / "new")
    files.remove_file(tmp_path / "none")


def test_ensure_dir_says_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert files.ensure_dir(tmp_path / "a" / "b").is_dir()
    assert files.ensure_dir(tmp_path / "a" / "b").is_dir()
    with pytest.raises(UsageError, match="is a file, not a folder"):
        files.ensure_dir(tmp_path / "file")
    with pytest.raises(UsageError, match="a part of the path is a file"):
        files.ensure_dir(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="the name is too long"):
        files.ensure_dir(tmp_path / ("x" * 300))
