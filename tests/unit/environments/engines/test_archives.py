"""Archives: the usual ones are read, hostile ones are refused, and none writes anything."""

from __future__ import annotations

import io
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from stemsep_envs.environments.engines.archives import read_archive
from stemsep_envs.environments.engines.git_objects import TooLargeError
from stemsep_envs.environments.engines.members import Caps, Member, Refused, is_lfs_pointer
from stemsep_envs.errors import BuildError

SMALL = Caps(files=10, file_bytes=1000, bytes=5000)


def read(path: Path, root: str = ".", caps: Caps = SMALL) -> list[Member | Refused]:
    return list(read_archive(path, root=root, caps=caps, title="it"))


def entry(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    return made


def tar(path: Path, *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_in_every_usual_compression(tmp_path: Path, mode: str) -> None:
    path = tar(
        tmp_path / "named.anything",
        (entry("./e-1", kind=tarfile.DIRTYPE), b""),
        (entry("./e-1/a b/ü.py"), b"code"),
        (entry("./e-1/run", mode=0o755), b"#!"),
        (entry("./e-1/link", kind=tarfile.SYMTYPE, link="run"), b""),
        (entry("beside"), b"not wanted"),
        mode=mode,
    )
    assert read(path, "e-1") == [
        Member("a b/ü.py", b"code"),
        Member("run", b"#!", executable=True),
        Member("link", b"run", is_link=True),
    ]


def test_zips(tmp_path: Path) -> None:
    path = tmp_path / "z"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("e-1/", "")
        archive.writestr("e-1/ü.py", "code")
        for name, mode in (("e-1/run", 0o100755), ("e-1/link", 0o120777)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, "run")
    assert read(path, "e-1") == [
        Member("ü.py", b"code"),
        Member("run", b"run", executable=True),
        Member("link", b"run", is_link=True),
    ]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ".git/hooks/x", "a/.GIT/x", "c:/x", "a\\x"])
def test_names_that_leave_are_refused(tmp_path: Path, name: str) -> None:
    in_tar = read(tar(tmp_path / "t", (entry(name), b""), (entry("fine"), b"")))
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, "")
        archive.writestr("fine", "")
    for members in (in_tar, read(tmp_path / "z")):
        assert isinstance(members[0], Refused)
        assert members[1] == Member("fine", b"")


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_other_kinds_are_refused(tmp_path: Path, kind: bytes) -> None:
    members = read(tar(tmp_path / "t", (entry("x", kind=kind, link="fine"), b""), (entry("fine"), b"")))
    assert isinstance(members[0], Refused)


def test_a_name_that_is_cut_off_by_some_programs_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("good.py_evil", "x")
    data = (tmp_path / "z").read_bytes().replace(b"good.py_evil", b"good.py\0evil")
    (tmp_path / "z").write_bytes(data)
    assert isinstance(read(tmp_path / "z")[0], Refused)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("x", "secret")
    data = bytearray((tmp_path / "z").read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.index(signature) + offset
        struct.pack_into("<H", data, at, 1)
    (tmp_path / "z").write_bytes(data)
    assert read(tmp_path / "z") == [Refused("x", "is encrypted")]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_bomb_is_cut_off(tmp_path: Path, mode: str) -> None:
    with pytest.raises(TooLargeError):
        read(tar(tmp_path / "one", (entry("x"), bytes(1001)), mode=mode))
    with pytest.raises(TooLargeError):
        read(tar(tmp_path / "many", *((entry(f"x{number}"), bytes(900)) for number in range(6)), mode=mode))
    with pytest.raises(TooLargeError):
        read(tar(tmp_path / "entries", *((entry(f"x{number}"), b"") for number in range(30)), mode=mode))


def test_a_bomb_of_metadata_is_cut_off(tmp_path: Path) -> None:
    long = entry("x")
    long.pax_headers = {"comment": "y" * 5_000_000}
    with tarfile.open(tmp_path / "t", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(long, io.BytesIO())
    assert (tmp_path / "t").stat().st_size < 10_000
    with pytest.raises(TooLargeError):
        read(tmp_path / "t")


def test_what_lies_beside_the_root_counts_too(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError):
        read(tar(tmp_path / "t", (entry("beside"), bytes(1001)), (entry("root/x"), b"")), "root")


def test_a_zip_bomb_is_cut_off(tmp_path: Path) -> None:
    for name, count, size in (("one", 1, 1001), ("many", 6, 900), ("entries", 30, 0)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(count):
                archive.writestr(f"x{number}", bytes(size))
        with pytest.raises(TooLargeError):
            read(tmp_path / name)


def test_a_zip_that_understates_a_size_is_not_believed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(100_000))
    data = (tmp_path / "z").read_bytes().replace(struct.pack("<L", 100_000), struct.pack("<L", 10))
    (tmp_path / "z").write_bytes(data)
    with pytest.raises(BuildError, match="can be read"):
        read(tmp_path / "z")


def test_a_zip_that_understates_a_size_takes_no_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(30_000_000))
    data = (tmp_path / "z").read_bytes().replace(struct.pack("<L", 30_000_000), struct.pack("<L", 10))
    (tmp_path / "z").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(BuildError, match="can be read"):
            read(tmp_path / "z")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_deflated_members_of_zips_are_unpacked(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", method) as archive:
        archive.writestr("x", "code")
    (member,) = read(tmp_path / "z")
    assert isinstance(member, Refused)
    assert "pack it with deflate" in member.why


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x1f\x8b", b"BZh9xxx", b"\xfd7zXZ\0", b"PK\3\4", b"PK\5\6" + bytes(18)]
)
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BuildError):
        read(tmp_path / "x")


def test_a_truncated_archive(tmp_path: Path) -> None:
    whole = tar(tmp_path / "t", (entry("x"), bytes(range(256)) * 3), mode="w:gz").read_bytes()
    for size in range(0, len(whole) - 9, 7):
        (tmp_path / "t").write_bytes(whole[:size])
        with pytest.raises(BuildError):
            read(tmp_path / "t")


def test_a_root_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="nothing in its folder") as caught:
        read(tar(tmp_path / "t", (entry("engine-1/x"), b"")), "engine-2")
    assert "engine-1" in (caught.value.hint or "")


def test_pointers_to_files_that_are_kept_elsewhere() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
    assert is_lfs_pointer(pointer)
    assert not is_lfs_pointer(b"# " + pointer)
    assert not is_lfs_pointer(pointer + bytes(1000))
    assert not is_lfs_pointer(b"")
