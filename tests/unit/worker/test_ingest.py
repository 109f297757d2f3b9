"""Taking outputs from a folder that an untrusted process writes."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError, StemsepEnvError
from stemsep_envs.host import untrusted_files as module
from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.worker.ingest import Ingested, ingest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")

DATA = os.urandom(2_500_000)


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """The worker's folder; beside it lies `outside`, which is none of its business."""
    (tmp_path / "work" / "track").mkdir(parents=True)
    (tmp_path / "taken").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "0.wav").write_bytes(b"precious")
    return tmp_path / "work" / "track"


def take(track: Path, *, confined: bool, max_bytes: int = 1 << 30) -> Ingested:
    return ingest(track / "0.wav", track.parents[1] / "taken" / "0.wav", max_bytes=max_bytes, confined=confined)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("confined", [True, False])
def test_takes_a_regular_file(track: Path, *, confined: bool) -> None:
    (track / "0.wav").write_bytes(DATA)
    (track / "0.wav").chmod(0o4777)
    taken = take(track, confined=confined)
    assert taken.path.read_bytes() == DATA
    assert (taken.sha256, taken.size_bytes) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    mode = stat.S_IMODE(taken.path.stat().st_mode)
    assert mode & 0o600 == 0o600
    assert mode & (0o111 | stat.S_ISUID) == 0
    assert names(taken.path.parent) == {"0.wav"}


def test_a_confined_worker_cannot_write_on(track: Path) -> None:
    with (track / "0.wav").open("wb") as stream:
        stream.write(DATA)
        stream.flush()
        taken = take(track, confined=True)
        stream.write(b"more")
        stream.seek(0)
        stream.write(b"other")
        stream.flush()
        assert taken.path.read_bytes() == DATA


def test_without_a_boundary_it_is_renamed(track: Path) -> None:
    (track / "0.wav").write_bytes(DATA)
    inode = (track / "0.wav").stat().st_ino
    assert take(track, confined=False).path.stat().st_ino == inode
    assert names(track) == set()


def symlink(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "0.wav")


def hard_link(path: Path, outside: Path) -> None:
    path.hardlink_to(outside / "0.wav")


def fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, outside: Path) -> None:
    path.mkdir()


def unix_socket(path: Path, outside: Path) -> None:
    # A socket's address is short: bind it by way of the descriptor of its folder.
    descriptor = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    os.close(descriptor)


def device(path: Path, outside: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("making a device needs root")


def dangling(path: Path, outside: Path) -> None:
    path.symlink_to("nowhere")


def looping(path: Path, outside: Path) -> None:
    path.symlink_to(path.name)


def missing(path: Path, outside: Path) -> None:
    pass


def too_large(path: Path, outside: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: costs nothing here, all of the disk when it is copied


def folder_replaced(path: Path, outside: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(outside)


@pytest.mark.parametrize("confined", [True, False])
@pytest.mark.parametrize(
    "make",
    [symlink, hard_link, fifo, folder, unix_socket, device, dangling, looping, missing, too_large, folder_replaced],
)
def test_refuses_everything_else(track: Path, make: Callable[[Path, Path], None], *, confined: bool) -> None:
    outside = track.parents[1] / "outside"
    make(track / "0.wav", outside)
    with pytest.raises(ModelError, match=r"the worker's output 0\.wav was refused") as caught:
        take(track, confined=confined)
    assert caught.value.code == "output_refused"
    assert names(track.parents[1] / "taken") == set()
    assert (outside / "0.wav").read_bytes() == b"precious"


def test_refused_folder_that_keeps_filling_is_refused_in_words(
    track: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def never_empty(path: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))

    (track / "0.wav").mkdir()
    monkeypatch.setattr(module, "remove_tree", never_empty)
    with pytest.raises(ModelError, match="not a regular file"):
        take(track, confined=True)
    assert "cannot remove" in caplog.text


def test_a_refused_file_leaves_no_descriptor_open(track: Path) -> None:
    (track / "0.wav").mkdir()
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(ModelError):
            take(track, confined=True)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_what_grows_while_it_is_copied_is_not_taken(track: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (track / "0.wav").write_bytes(bytes(1000))
    with (track / "0.wav").open("ab") as held:

        def grow_then_copy(*arguments: object, **named: object) -> tuple[str, int]:
            held.write(bytes(1000))
            held.flush()
            return copy_hashed(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "copy_hashed", grow_then_copy)
        with pytest.raises(LimitError) as caught:
            take(track, confined=True, max_bytes=1500)
    assert caught.value.code == "output_too_large"
    assert names(track.parents[1] / "taken") == set()


def test_a_file_of_holes_costs_no_more_than_it_did(track: Path) -> None:
    with (track / "0.wav").open("wb") as stream:
        stream.write(b"sound")
        stream.truncate(64 << 20)
    taken = take(track, confined=True)
    assert taken.size_bytes == 64 << 20
    assert taken.sha256 == hashlib.sha256(b"sound" + bytes((64 << 20) - 5)).hexdigest()
    assert taken.path.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("confined", [True, False])
def test_taking_is_given_up_between_blocks(track: Path, *, confined: bool) -> None:
    (track / "0.wav").write_bytes(DATA)
    seen: list[int] = []

    def stop(size: int) -> None:
        seen.append(size)
        raise InterruptedRunError("enough")

    with pytest.raises(InterruptedRunError):
        ingest(
            track / "0.wav", track.parents[1] / "taken" / "0.wav", max_bytes=1 << 30, confined=confined, on_block=stop
        )
    assert len(seen) == 1
    assert names(track.parents[1] / "taken") == set()


SWAPS = """
import os, sys
path, outside, parent = sys.argv[1], sys.argv[2], os.getppid()
print(flush=True)
while os.getppid() == parent:
    for make in (
        lambda: os.symlink(outside, "link"),
        lambda: os.link(outside, "link"),
        lambda: open("link", "xb").write(b"sound"),
    ):
        try:
            if os.path.lexists("link"):
                os.unlink("link")
            make()
            os.replace("link", path)
        except OSError:
            pass
"""


@pytest.mark.parametrize("confined", [True, False])
def test_file_that_is_swapped_never_brings_in_another(track: Path, *, confined: bool) -> None:
    outside = track.parents[1] / "outside" / "0.wav"
    command = [sys.executable, "-I", "-S", "-c", SWAPS, str(track / "0.wav"), str(outside)]
    taken: list[tuple[bool, bytes, int]] = []
    refused: list[str] = []
    with subprocess.Popen(command, cwd=track, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            for _ in range(400):
                try:
                    path = take(track, confined=confined).path
                    taken.append((path.is_symlink(), path.read_bytes(), path.stat().st_nlink))
                except StemsepEnvError as error:
                    refused.append(error.code)
        finally:
            child.kill()
    assert set(refused) == {"output_refused"}
    # What it made itself it may bring in at any stage; never a link, or what lies outside.
    assert set(taken) <= {(False, b"sound", 1), (False, b"", 1)}
    assert outside.read_bytes() == b"precious"


def test_folders_on_two_file_systems_are_a_mistake_of_ours(track: Path) -> None:
    disk = Path("/dev/shm")
    if not disk.is_dir() or disk.stat().st_dev == track.stat().st_dev:
        pytest.skip("needs a second file system")
    (track / "0.wav").write_bytes(DATA)
    with pytest.raises(ValueError, match="is not on the file system of"):
        ingest(track / "0.wav", disk / "0.wav", max_bytes=1 << 30, confined=True)
