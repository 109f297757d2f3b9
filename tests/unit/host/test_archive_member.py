"""One file out of an archive, however hostile the archive is."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stemsep_envs.host import archive_member, archives
from stemsep_envs.host.archive_member import UnpackError, take_member

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
    with pytest.raises(UnpackError, match="of 2000000 bytes; the limit is 1000000"):
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


def crafted_zip(path: Path, method: int, packed: bytes, claimed: int) -> Path:
    """Write a zip of one member that says of its size what it likes."""
    name = b"deep/model.th"
    crc = zlib.crc32(bytes(claimed))
    facts = struct.pack("<HHHHHIII", 63, 0, method, 0, 0, crc, len(packed), claimed)
    local = b"PK\3\4" + facts + struct.pack("<HH", len(name), 0) + name + packed
    listed = b"PK\1\2" + struct.pack("<H", 63) + facts + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(local), 0)
    path.write_bytes(local + listed + end)
    return path


def raw_tar(path: Path, *parts: tuple[bytes, str, bytes]) -> Path:
    """Write a packed tar of members, each of a kind, a name and content, that no library would write so."""
    data = b""
    for kind, name, content in parts:
        entry = tarfile.TarInfo(name)
        entry.type, entry.size = kind, len(content)
        data += entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)
    path.write_bytes(gzip.compress(data + bytes(1024)))
    return path


def peak_bytes(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(UnpackError):
            act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("method", "kind"), [(12, "bzip2"), (14, "LZMA"), (9, "deflate64"), (77, "method 77")])
def test_only_deflated_members_of_zips_are_unpacked(tmp_path: Path, method: int, kind: str) -> None:
    packed = bz2.compress(bytes(50_000_000)) if method == 12 else b"anything"
    archive = crafted_zip(tmp_path / "a.zip", method, packed, 100)
    with pytest.raises(UnpackError, match=f"packed with {kind}; pack it with deflate"):
        take(archive)
    assert peak_bytes(lambda: take(archive)) < 2_000_000


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_bomb_of_names_or_records_is_cut_off(tmp_path: Path, kind: bytes) -> None:
    archive = raw_tar(tmp_path / "a.tar", (kind, "x", b"y" * 20_000_000), (tarfile.REGTYPE, "deep/model.th", b"1"))
    with pytest.raises(UnpackError, match="more than 1048576 bytes of names and records"):
        take(archive)
    assert peak_bytes(lambda: take(archive)) < 8_000_000


def test_a_bomb_of_holes_is_cut_off(tmp_path: Path) -> None:
    records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    bomb = (tarfile.REGTYPE, "x", b"9999999\n" + b"1000\n" * 1_000_000)
    archive = raw_tar(tmp_path / "a.tar", (tarfile.XHDTYPE, "x", records), bomb)
    with pytest.raises(UnpackError, match="names and records"):
        take(archive)


def test_records_for_all_members_do_not_add_up(tmp_path: Path) -> None:
    parts = [
        (tarfile.XGLTYPE, "x", b"".join(b"14 key%05d=v\n" % (number * 100 + part) for part in range(60)))
        for number in range(3)
    ]
    archive = raw_tar(tmp_path / "a.tar", *[part for each in parts for part in (each, (tarfile.REGTYPE, "y", b""))])
    with pytest.raises(UnpackError, match="more than 100 records for all"):
        take(archive)


def test_many_members_take_no_memory(tmp_path: Path) -> None:
    archive = raw_tar(tmp_path / "a.tar", *((tarfile.REGTYPE, f"{number}", b"") for number in range(20_000)))
    assert peak_bytes(lambda: take(archive)) < 2_000_000


def test_what_is_skipped_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar_maker("w:gz")(tmp_path, {"bomb": bytes(3_000_000), "deep/model.th": DATA})
    assert take(archive)[0] == SHA
    monkeypatch.setattr(archive_member, "_MOST_SKIPPED_BYTES", 1_000_000)
    with pytest.raises(UnpackError, match=r"unpacks to more than 1000000 bytes before deep/model.th"):
        take(archive)


def test_a_directory_of_a_zip_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path, {f"{number:0100d}": b"" for number in range(50)} | {"deep/model.th": DATA})
    assert take(archive)[0] == SHA
    monkeypatch.setattr(archives, "_MOST_DIRECTORY_BYTES", 5000)
    with pytest.raises(UnpackError, match=r"has a directory of .* bytes; the limit is 5000"):
        take(archive)


def test_xz_is_not_given_all_the_memory_it_asks_for(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    packed = bytearray(lzma.compress(b"x" * 1000, format=lzma.FORMAT_XZ, filters=filters))
    packed[16] = 40  # a dictionary of 4 GiB
    header = (packed[12] + 1) * 4
    packed[12 + header - 4 : 12 + header] = struct.pack("<I", zlib.crc32(packed[12 : 12 + header - 4]))
    (tmp_path / "a.tar").write_bytes(packed)
    with pytest.raises(UnpackError, match="Memory usage limit"):
        take(tmp_path / "a.tar")


def test_xz_of_several_streams(tmp_path: Path) -> None:
    data = tar_maker("w")(tmp_path, {"deep/model.th": DATA}).read_bytes()
    (tmp_path / "b.tar").write_bytes(lzma.compress(data[:20_000]) + bytes(8) + lzma.compress(data[20_000:]))
    assert take(tmp_path / "b.tar") == (SHA, len(DATA))
    (tmp_path / "b.tar").write_bytes(lzma.compress(data[:20_000]))
    with pytest.raises(UnpackError):
        take(tmp_path / "b.tar")


def test_no_damage_is_taken_for_a_fault_of_ours(tmp_path: Path) -> None:
    archive = make_zip(tmp_path, {"deep/model.th": DATA})
    whole = archive.read_bytes()
    at = whole.index(b"PK\1\2")
    not_utf8 = whole[:at] + whole[at:].replace(b"deep/model.th", b"deep/\xff\xfeel.th")
    not_utf8 = not_utf8[: at + 9] + b"\x08" + not_utf8[at + 10 :]
    before_beginning = whole[:-6] + struct.pack("<I", len(whole) * 2) + whole[-2:]
    records = [b"20 size=-99999999999\n", b"9" * 600 + b" size=1\n", b"12 uid=nan\n\n"]
    for data in (not_utf8, before_beginning):
        archive.write_bytes(data)
        with pytest.raises(UnpackError):
            take(archive)
    for record in records:
        with pytest.raises(UnpackError):
            take(raw_tar(tmp_path / "t", (tarfile.XHDTYPE, "x", record), (tarfile.REGTYPE, "x", b"")))
    chain = [(tarfile.GNUTYPE_LONGNAME, "x", b"n")] * 900
    with pytest.raises(UnpackError):
        take(raw_tar(tmp_path / "t", *chain, (tarfile.REGTYPE, "x", b"")))
