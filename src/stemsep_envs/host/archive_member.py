"""Taking one file out of an archive: zip, or tar in any usual compression.

Nothing is unpacked under a name that the archive chose: the one member that was asked for is copied, as a stream and
up to a size, into a file that the caller names. So no path can lead anywhere, no link is made or followed, and what
unpacks to more than was allowed is cut off.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from stemsep_envs.host.archives import UNREADABLE, OversizeError, Tar, opened_tar, opened_zip, packing_problem
from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.host.file_reading import Readable

_ENCRYPTED = 0x1
_UNIX = 3
_MOST_ENTRIES = 100_000
_MOST_SKIPPED_BYTES = 64 << 30
_SHOWN_NAMES = 5
_SHOWN_CHARACTERS = 200


class UnpackError(Exception):
    """Why a member cannot be taken, as the end of a sentence that names the archive."""


def take_member(
    archive: Path, member: str, destination: Path, *, max_bytes: int, on_block: Callable[[int], None]
) -> tuple[str, int]:
    """Copy one member of an archive into a file; return its SHA-256 and its size in bytes.

    Args:
        archive: The archive's file.
        member: The member's path in it, with forward slashes.
        destination: The new file.
        max_bytes: The most that is taken.
        on_block: Called with the size of each block that is written or skipped; may raise to stop.

    Raises:
        UnpackError: It is no archive, is damaged, has no such member or a member that is no plain file or too large.
        LimitError: The disk is full.
        OSError, UnreadableError: The archive cannot be read.
    """
    with ExitStack() as opened:
        with _readable():
            stream = opened.enter_context(_opened(archive, member, max_bytes, on_block))
        return copy_hashed(_Guarded(stream), destination, max_bytes=max_bytes, on_block=on_block)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OversizeError as error:
        raise UnpackError(str(error)) from None
    except UNREADABLE as error:
        raise UnpackError(f"is damaged, or no archive: {error}") from None
    except RuntimeError as error:  # zipfile's word for what needs a password
        raise UnpackError(f"cannot be unpacked: {error}") from None
    except OSError as error:
        if error.errno is None:  # gzip and bz2 raise plain ones for what is damaged
            raise UnpackError(f"is damaged: {error}") from None
        raise


@contextmanager
def _opened(archive: Path, member: str, max_bytes: int, on_block: Callable[[int], None]) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with opened_zip(archive) as opened, opened.open(_zip_entry(opened, member, max_bytes)) as stream:
            yield stream
        return
    unpacked = 0

    def count(size: int) -> None:
        nonlocal unpacked
        unpacked += size
        if unpacked > _MOST_SKIPPED_BYTES + max_bytes:
            raise UnpackError(f"unpacks to more than {_MOST_SKIPPED_BYTES} bytes before {member}")
        on_block(0)

    with opened_tar(archive, on_block=count) as tar:
        content = tar.content(_tar_entry(tar, member, max_bytes))
        if content is None:
            raise UnpackError(f"has no file {member}")
        yield content


def _zip_entry(archive: zipfile.ZipFile, member: str, max_bytes: int) -> zipfile.ZipInfo:
    found = [entry for entry in archive.infolist() if entry.filename.removeprefix("./") == member]
    if not found:
        raise UnpackError(f"has no file {member}; it has {_some(entry.filename for entry in archive.infolist())}")
    if len(found) > 1:
        raise UnpackError(f"has {member} {len(found)} times")
    (entry,) = found
    kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == _UNIX else 0
    if entry.is_dir() or kind not in {0, stat.S_IFREG}:
        raise UnpackError(f"has a {member} that is no plain file")
    if entry.flag_bits & _ENCRYPTED:
        raise UnpackError(f"has a {member} that is encrypted")
    packing = packing_problem(entry)
    if packing is not None:
        raise UnpackError(f"has a {member} that {packing}")
    _refuse_size(member, entry.file_size, max_bytes)
    return entry


def _tar_entry(archive: Tar, member: str, max_bytes: int) -> tarfile.TarInfo:
    names: list[str] = []
    for count, entry in enumerate(archive):
        if count > _MOST_ENTRIES:
            raise UnpackError(f"has more than {_MOST_ENTRIES} entries")
        if entry.name.removeprefix("./") == member:
            if not entry.isreg() or entry.issparse():
                raise UnpackError(f"has a {member} that is no plain file")
            _refuse_size(member, entry.size, max_bytes)
            return entry
        if len(names) < _SHOWN_NAMES + 1:
            names.append(entry.name)
    raise UnpackError(f"has no file {member}; it has {_some(iter(names))}")


def _refuse_size(member: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise UnpackError(f"has a {member} of {size} bytes; the limit is {max_bytes}")


def _some(names: Iterator[str]) -> str:
    shown = [name[:_SHOWN_CHARACTERS] for name, _ in zip(names, range(_SHOWN_NAMES + 1), strict=False)]
    return ", ".join(shown[:_SHOWN_NAMES]) + (" and more" if len(shown) > _SHOWN_NAMES else "") or "nothing"


class _Guarded(io.BufferedIOBase):
    """A member's stream, with errors of the archive told apart from errors of the disk that it is copied to."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = Readable(stream)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _readable():
            block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)
