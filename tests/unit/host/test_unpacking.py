"""One file out of an archive, however hostile the archive is."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stemsep_envs.host.unpacking import UnpackError, take_member

DATA = os.urandom(50_000)
SHA = hashlib.sha256(DATA).hexdigest()
Make = Callable[[Path, dict[str, bytes]], Path]


def make_zip(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_maker(mode: str) -> Make:
    def make(folder: Path, members: dict[str, bytes]) -> Path:
        path = folder / "a.tar"
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name, data in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return path

    return make


MAKERS = [make_zip, tar_maker("w"), tar_maker("w:gz"), tar_maker("w:bz2"), tar_maker("w:xz")]


def take(archive: Path, member: str = "deep/model.th", most: int = 1_000_000) -> tuple[str, int]:
    return take_member(archive, member, archive.parent / "out", max_bytes=most, on_block=lambda _: None)


@pytest.mark.parametrize("make", MAKERS)
def test_a_member_is_taken_and_nothing_else(make: Make, tmp_path: Path) -> None:
    archive = make(tmp_path, {"../evil": b"x", "/abs": b"x", "deep/model.th": DATA, "deep/other": b"y" * 1000})
    assert take(archive) == (SHA, len(DATA))
    assert (tmp_path / "out").read_bytes() == DATA
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([archive.name, "out"])


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_not_there_or_too_large_is_said(make: Make, tmp_path: Path) -> None:
    archive = make(tmp_path, {f"file-{number}": b"x" for number in range(9)} | {"deep/model.th": bytes(2_000_000)})
    with pytest.raises(UnpackError, match=r"has no file nothing; it has file-0, .* and more"):
        take(archive, "nothing")
    with pytest.raises(UnpackError, match="of 2000000 bytes, and 1000000 are taken at most"):
        take(archive)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", MAKERS)
def test_archives_that_are_damaged(make: Make, tmp_path: Path) -> None:
    archive = make(tmp_path, {"deep/model.th": DATA})
    whole = archive.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], whole[:200] + b"\xff" * 300 + whole[500:]):
        archive.write_bytes(damaged)
        try:
            assert take(archive)[0] != SHA
        except UnpackError:
            continue


def test_a_size_that_lies_is_cut_off(tmp_path: Path) -> None:
    archive = make_zip(tmp_path, {"deep/model.th": bytes(3_000_000)})
    data = archive.read_bytes().replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(UnpackError):
        take(archive)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_no_files(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("deep/model.th")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(entry)
    with pytest.raises(UnpackError, match="no plain file"):
        take(tmp_path / "a.tar")


def test_links_encrypted_and_repeated_members_of_zips(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("deep/model.th")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnpackError, match="no plain file"):
        take(tmp_path / "a.zip")
    locked = bytearray(make_zip(tmp_path, {"deep/model.th": DATA}).read_bytes())
    locked[6] |= 1
    locked[locked.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(locked)
    with pytest.raises(UnpackError, match="encrypted"):
        take(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("deep/model.th", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("deep/model.th", b"2")
    with pytest.raises(UnpackError, match="2 times"):
        take(tmp_path / "b.zip")


def test_skipping_through_a_bomb_can_be_stopped(tmp_path: Path) -> None:
    archive = tar_maker("w:gz")(tmp_path, {"bomb": bytes(20_000_000), "deep/model.th": DATA})
    blocks = []

    def stop(size: int) -> None:
        blocks.append(size)
        if len(blocks) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_member(archive, "deep/model.th", tmp_path / "out", max_bytes=1_000_000, on_block=stop)
    assert len(blocks) == 6
