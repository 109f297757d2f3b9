"""Atomic writes and publishing: crashes, full disks, other writers at the same time."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.host.conftest import names_in
from tests.unprivileged import unprivileged

from stemsep_envs.errors import LimitError, UsageError
from stemsep_envs.host.atomic_write import copy_hashed, publish, write_atomic, write_private
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.scratch_dirs import scratch_dir

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "file"
    for data in (b"one", b"", b"three" * 1000):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert names_in(path.parent) == {"file"}


def test_write_private_replaces_whole_and_leaves_nothing(tmp_path: Path) -> None:
    write_private(tmp_path / "note", b"one")
    write_private(tmp_path / "note", b"two")
    assert (tmp_path / "note").read_bytes() == b"two"
    assert names_in(tmp_path) == {"note"}
    with pytest.raises(UsageError):
        write_private(tmp_path / "none" / "note", b"three")


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_link_is_replaced_and_its_target_let_alone(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    write_atomic(tmp_path / "link", b"mine")
    assert (tmp_path / "outside").read_bytes() == b"precious"
    assert (tmp_path / "link").read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("where", ["file/x", "file/deeper/x", "folder"])
def test_what_stands_in_the_way_is_told(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        write_atomic(tmp_path / where, b"x")
    assert caught.value.code in {"not_a_folder", "not_writable"}
    assert names_in(tmp_path) == {"file", "folder"}
    assert names_in(tmp_path / "folder") == {"full"}


def test_a_full_disk_keeps_the_old_content_and_leaves_nothing(tiny_disk: Path) -> None:
    write_atomic(tiny_disk / "file", b"old")
    with pytest.raises(LimitError) as caught:
        write_atomic(tiny_disk / "file", bytes(2 << 20))
    assert caught.value.code == "no_space"
    with pytest.raises(LimitError):
        copy_hashed(io.BytesIO(bytes(2 << 20)), tiny_disk / "copy", max_bytes=1 << 30)
    assert (tiny_disk / "file").read_bytes() == b"old"
    assert names_in(tiny_disk) == {"file"}


def test_a_folder_without_permission() -> None:
    with unprivileged() as folder:
        closed = folder / "closed"
        closed.mkdir()
        (folder / "ready").touch()
        closed.chmod(0o500)
        for attempt in (
            lambda: write_atomic(closed / "x", b"x"),
            lambda: ensure_dir(closed / "x"),
            lambda: scratch_dir(closed, "x").__enter__(),
            lambda: publish(folder / "ready", closed / "x"),
        ):
            with pytest.raises(UsageError, match="permission denied") as caught:
                attempt()
            assert caught.value.code == "not_writable"


def test_a_folder_that_may_be_written_to_and_not_read() -> None:
    with unprivileged() as folder:
        folder.chmod(0o300)
        write_atomic(folder / "x", b"x")
        assert (folder / "x").read_bytes() == b"x"


WRITES_FOR_EVER = """
import os, pathlib, sys
from stemsep_envs.host.atomic_write import write_atomic
path, size, parent = pathlib.Path(sys.argv[1]), int(sys.argv[2]), os.getppid()
print("ready", flush=True)
while os.getppid() == parent:
    for letter in b"abcdefgh":
        write_atomic(path, bytes([letter]) * size)
"""


def writer(path: Path, size: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, str(path), str(size)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def assert_whole(path: Path, size: int) -> None:
    data = path.read_bytes()
    assert len(data) == size
    assert len(set(data)) == 1


def test_killed_while_writing_the_content_is_old_or_new(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 300_000
    write_atomic(path, b"0" * size)
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
        "import sys, pathlib\n"
        "from stemsep_envs.host.atomic_write import write_atomic\n"
        "write_atomic(pathlib.Path(sys.argv[1]), b'x')"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert names_in(tmp_path) == {"file", ".stemsep-env-not-ours.tmp"}


def test_several_writers_at_once(tmp_path: Path) -> None:
    path, size = tmp_path / "file", 300_000
    children = [writer(path, size) for _ in range(3)]
    write_atomic(path, b"0" * size)
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
        copy_hashed(Interrupted(), tmp_path / "copy", max_bytes=10)
    assert names_in(tmp_path) == set()


def test_copies_and_tells_what_it_copied(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    expected = hashlib.sha256(data).hexdigest(), len(data)
    assert copy_hashed(io.BytesIO(data), tmp_path / "copy", max_bytes=len(data)) == expected
    assert sha256_of(tmp_path / "copy") == expected


def test_a_copy_that_grows_too_large_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(LimitError) as caught:
        copy_hashed(io.BytesIO(bytes(11)), tmp_path / "copy", max_bytes=10)
    assert caught.value.code == "output_too_large"
    assert names_in(tmp_path) == set()


def test_zeros_become_holes_on_request(tmp_path: Path) -> None:
    content = bytes(3 << 20) + b"sound" + bytes(3 << 20)
    digest = hashlib.sha256(content).hexdigest()
    for sparse in (False, True):
        copied = copy_hashed(io.BytesIO(content), tmp_path / "copy", max_bytes=1 << 30, sparse=sparse)
        assert copied == (digest, len(content))
        assert (tmp_path / "copy").read_bytes() == content
        full = (tmp_path / "copy").stat().st_blocks * 512 >= len(content)
        assert full != sparse


def test_publishes_a_file_over_another(tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(b"new")
    (tmp_path / "final").write_bytes(b"old")
    publish(tmp_path / "staged", tmp_path / "final")
    assert (tmp_path / "final").read_bytes() == b"new"
    assert names_in(tmp_path) == {"final"}


def test_publishes_a_file_from_another_file_system(tiny_disk: Path, tmp_path: Path) -> None:
    (tiny_disk / "staged").write_bytes(b"new")
    publish(tiny_disk / "staged", tmp_path / "out" / "final")
    assert (tmp_path / "out" / "final").read_bytes() == b"new"
    assert names_in(tiny_disk) == set()
    assert names_in(tmp_path / "out") == {"final"}


def test_a_full_disk_while_publishing_keeps_what_was_there(tiny_disk: Path, tmp_path: Path) -> None:
    (tiny_disk / "final").write_bytes(b"old")
    (tmp_path / "staged").write_bytes(bytes(2 << 20))
    with pytest.raises(LimitError):
        publish(tmp_path / "staged", tiny_disk / "final")
    assert (tiny_disk / "final").read_bytes() == b"old"
    assert names_in(tiny_disk) == {"final"}
    assert (tmp_path / "staged").exists()


def test_publishes_a_folder_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    publish(tmp_path / "one", tmp_path / "deep" / "final")
    with pytest.raises(FileExistsError):
        publish(tmp_path / "two", tmp_path / "deep" / "final")
    assert names_in(tmp_path / "deep" / "final") == {"one"}
    assert names_in(tmp_path / "two") == {"two"}


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(UsageError):
        publish(tmp_path / "folder", tmp_path / "file")
    with pytest.raises(UsageError):
        publish(tmp_path / "file", tmp_path / "folder")
    assert (tmp_path / "file").read_bytes() == b"old"
