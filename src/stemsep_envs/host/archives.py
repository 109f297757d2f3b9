"""Opening archives of strangers: zip, and tar in any usual compression, in little memory whatever they say.

The standard library reads some parts of an archive at once, however large they are: the directory of a zip, the long
names and records before a member of a tar, and the members of zips in compressions other than deflate. Here such parts
have a bound or are refused. The content of members is up to the caller, who reads it in blocks and counts.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError),
    *(ValueError, OverflowError, struct.error, IndexError, KeyError, RecursionError, MemoryError),
)
"""What the libraries raise for an archive that is damaged, or made to hurt."""

_MOST_DIRECTORY_BYTES = 16 << 20
"""Of a zip: some hundred thousand members."""

_MOST_END_BYTES = 1 << 17
"""What a zip has behind its directory, with a comment of 64 KiB."""

_MOST_HEADER_BYTES = 1 << 20
"""Between two members of a tar: names, links and attributes of one file."""

_MOST_COMMON_RECORDS = 100
"""Records that a tar has for all its members at once; git writes one."""

_XZ_MEMORY_BYTES = 256 << 20
"""Four times what the strongest usual setting takes."""

_BLOCK_BYTES = 1 << 16
_TAR_READS = 2 * tarfile.RECORDSIZE
_OTHER_PACKINGS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz"}


class OversizeError(Exception):
    """A part of an archive that is read at once is too large; the message is the end of a sentence that names it."""


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield a zip whose directory has a bound. Read its members in blocks, and only those without `packing_problem`.

    Raises:
        OversizeError: It has too many members.
    """
    with path.open("rb") as plain:
        bounded = cast("IO[bytes]", _BoundedReads(plain))
        with zipfile.ZipFile(bounded) as archive:
            yield archive


def packing_problem(entry: zipfile.ZipInfo) -> str | None:
    """Say why a member of a zip is not unpacked: only what deflate packed can be unpacked bit by bit."""
    if entry.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return None
    kind = _OTHER_PACKINGS.get(entry.compress_type, f"method {entry.compress_type}")
    return f"is packed with {kind}; pack it with deflate, the usual way, or as a tar file"


class Tar:
    """A tar file that is gone through once, from its beginning."""

    def __init__(self, archive: tarfile.TarFile, stream: _Metered) -> None:
        self._archive, self._stream = archive, stream

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members. Each one's content can be read until the next is asked for.

        Raises:
            OversizeError: What comes between two members is too large.
        """
        while True:
            self._stream.may_reach(self._archive.offset)
            entry = self._archive.next()
            if entry is None:
                return
            self._archive.members.clear()  # type: ignore[attr-defined] # the library keeps all of them
            if len(self._archive.pax_headers) > _MOST_COMMON_RECORDS:
                raise OversizeError(f"has more than {_MOST_COMMON_RECORDS} records for all its members")
            self._stream.may_reach(self._archive.offset)
            yield entry

    def content(self, entry: tarfile.TarInfo) -> IO[bytes] | None:
        """Return the content of the member that was yielded last; None where it has none."""
        return self._archive.extractfile(entry)


@contextmanager
def opened_tar(path: Path, *, on_block: Callable[[int], None]) -> Iterator[Tar]:
    """Yield a tar file in any usual compression.

    Args:
        path: The file.
        on_block: Called with the size of each block that was unpacked, skipped ones too; may raise to stop.

    Raises:
        OversizeError: What comes before the first member is too large.
    """
    with path.open("rb") as packed, _unpacked(packed) as unpacked:
        stream = _Metered(unpacked, on_block)
        counted = cast("IO[bytes]", stream)
        with tarfile.open(fileobj=counted, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            yield Tar(archive, stream)


def _unpacked(packed: IO[bytes]) -> IO[bytes]:
    """Return the stream of a tar file, by what it begins with and not by its name."""
    beginning = packed.read(6)
    packed.seek(0)
    if beginning.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(packed))
    if beginning.startswith(b"BZh"):
        return bz2.open(packed)
    return cast("IO[bytes]", _Xz(packed)) if beginning == b"\xfd7zXZ\0" else packed


class _Xz(io.RawIOBase):
    """Unpacks xz within a bound of memory, which `lzma.open` cannot be given: the file says how much it takes."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._machine = _xz_machine()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = b""
        while not block:
            more = b""
            if self._machine.eof:  # another stream may follow, after zeros
                more = self._machine.unused_data.lstrip(b"\0") or self._packed.read(_BLOCK_BYTES).lstrip(b"\0")
                if not more:
                    return 0
                self._machine = _xz_machine()
            elif self._machine.needs_input:
                more = self._packed.read(_BLOCK_BYTES)
                if not more:
                    raise EOFError("it is cut short")
            block = self._machine.decompress(more, len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _xz_machine() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


class _BoundedReads:
    """A file of which nothing is read at once that is larger than any honest zip's directory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.tell = stream.tell

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile("a member that begins before the archive does")
        return self._stream.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        whole = size < 0
        if not whole and size > _MOST_DIRECTORY_BYTES:
            raise OversizeError(f"has a directory of {size} bytes; the limit is {_MOST_DIRECTORY_BYTES}")
        block = self._stream.read(_MOST_END_BYTES + 1 if whole else size)
        if whole and len(block) > _MOST_END_BYTES:
            raise OversizeError(f"has an end record of more than {_MOST_END_BYTES} bytes")
        return block


class _Metered:
    """The unpacked bytes of a tar: counted, and read no further than a header's length beyond what is due."""

    def __init__(self, stream: IO[bytes], on_block: Callable[[int], None]) -> None:
        self._stream, self._on_block = stream, on_block
        self._position = 0
        self.may_reach(0)

    def may_reach(self, header: int) -> None:
        """Say where the next header begins: what is before it is content, which takes no memory."""
        self._furthest = header + _MOST_HEADER_BYTES + _TAR_READS

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._position += len(block)
        self._on_block(len(block))
        if self._position > self._furthest:
            raise OversizeError(f"has more than {_MOST_HEADER_BYTES} bytes of names and records before a member")
        return block
