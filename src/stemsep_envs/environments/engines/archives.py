"""Reading archives, tar in any usual compression and zip, as members that can do no harm.

Nothing is ever unpacked onto the disk by an archive library: names, kinds and sizes are looked at first, and what is
left is plain bytes that are written like those of any other source. What an archive claims is believed only up to
the caps, and a stream that grows beyond them is cut off while it is being unpacked.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.documents.safe_paths import path_problem
from stemsep_envs.environments.engines.git_objects import TooLargeError
from stemsep_envs.environments.engines.members import Caps, Member, Members, Refused
from stemsep_envs.errors import BuildError
from stemsep_envs.host.archives import UNREADABLE, OversizeError, opened_tar, opened_zip, packing_problem

_BLOCK_BYTES = 1 << 20
_MAX_LINK_BYTES = 4096
_MAX_PADDING_BYTES = 1 << 20
_ENCRYPTED = 0x1
_UNIX = 3


def read_archive(path: Path, *, root: str, caps: Caps, title: str) -> Members:
    """Yield the members of an archive that lie in its folder ``root``, with paths below it.

    Raises:
        BuildError: It is no archive, is damaged, or has nothing there.
        TooLargeError: It unpacks to more than the caps.
    """
    found = 0
    beside: set[str] = set()
    members = _zip_members(path, caps) if zipfile.is_zipfile(path) else _tar_members(path, caps)
    with _readable(title):
        for member in members:
            name = member.path.removeprefix("./").rstrip("/")
            if name in {"", "."}:
                continue
            problem = path_problem(name)
            if problem is not None:
                found += 1
                yield Refused(name, problem)
                continue
            below = name if root == "." else name.removeprefix(f"{root}/")
            if root != "." and below == name:
                beside.add(name.partition("/")[0])
                continue
            found += 1
            if isinstance(member, Refused):
                yield Refused(below, member.why)
            elif not member.path.endswith("/"):
                yield Member(below, member.content, member.executable, member.is_link)
    if not found:
        hint = f"at its top are: {', '.join(sorted(beside)[:10])}" if beside else None
        raise BuildError(f"{title} has nothing in its folder {root!r}", hint=hint, code="engine_refused")


@contextmanager
def _readable(title: str) -> Iterator[None]:
    try:
        yield
    except OversizeError as error:
        raise TooLargeError(f"it {error}") from error
    except (*UNREADABLE, RuntimeError, OSError) as error:
        raise BuildError(
            f"{title} is not a tar or zip file that can be read: {error}",
            hint="its hash is the one that is pinned: pin a file that is whole",
            code="engine_refused",
        ) from error


def _tar_members(path: Path, caps: Caps) -> Members:
    spent = unpacked = 0
    # Padding and long names come beside the content, so the stream may be larger than the tree.
    most = 2 * caps.bytes + _MAX_PADDING_BYTES

    def count(size: int) -> None:
        nonlocal unpacked
        unpacked += size
        if unpacked > most:
            raise TooLargeError(f"it unpacks to more than {most} bytes")

    with opened_tar(path, on_block=count) as archive:
        for number, entry in enumerate(archive):
            if number > 2 * caps.files:
                raise TooLargeError(f"it has more than {2 * caps.files} entries")
            name = f"{entry.name}/" if entry.isdir() else entry.name
            if entry.isdir():
                yield Member(name, b"")
            elif entry.issym():
                yield Member(name, entry.linkname.encode("utf-8", "surrogateescape"), is_link=True)
            elif not entry.isreg() or entry.issparse():
                yield Refused(name, f"is {_tar_kind(entry)}")
            else:
                spent += entry.size
                _refuse_size(entry.size, spent, caps)
                content = archive.content(entry)
                yield Member(name, content.read() if content else b"", bool(entry.mode & stat.S_IXUSR))


def _tar_kind(entry: tarfile.TarInfo) -> str:
    if entry.islnk():
        return "a hard link"
    return "a device or a pipe" if entry.isdev() else "a file of a special kind"


def _zip_members(path: Path, caps: Caps) -> Members:
    spent = 0
    with opened_zip(path) as archive:
        entries = archive.infolist()
        if len(entries) > 2 * caps.files:
            raise TooLargeError(f"it has more than {2 * caps.files} entries")
        for entry in entries:
            mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
            packing = packing_problem(entry)
            if entry.orig_filename != entry.filename:
                yield Refused(entry.orig_filename, "has a name that is read differently by different programs")
            elif entry.is_dir():
                yield Member(entry.filename, b"")
            elif entry.flag_bits & _ENCRYPTED:
                yield Refused(entry.filename, "is encrypted")
            elif packing is not None:
                yield Refused(entry.filename, packing)
            elif stat.S_ISLNK(mode) and entry.file_size > _MAX_LINK_BYTES:
                yield Refused(entry.filename, "is a symbolic link that is too long")
            elif stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFLNK}:
                yield Refused(entry.filename, "is a device or a pipe")
            else:
                spent += entry.file_size
                _refuse_size(entry.file_size, spent, caps)
                is_link = stat.S_ISLNK(mode)
                executable = bool(mode & stat.S_IXUSR) and not is_link
                yield Member(entry.filename, _zip_content(archive, entry), executable, is_link)


def _zip_content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read a member in blocks: read at once, it is unpacked as far as it goes, whatever size it claims."""
    with archive.open(entry) as stream:
        return b"".join(iter(lambda: stream.read(_BLOCK_BYTES), b""))


def _refuse_size(size: int, spent: int, caps: Caps) -> None:
    if size > caps.file_bytes:
        raise TooLargeError(f"it has a file of {size} bytes, and {caps.file_bytes} are accepted")
    if spent > caps.bytes:
        raise TooLargeError(f"it unpacks to more than {caps.bytes} bytes")
