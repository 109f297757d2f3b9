"""Unpacking what a server packed on the way, although it was not asked to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from stemsep_envs.host.web import WebError

_GZIP_BEGINNING = b"\x1f\x8b"


class Plain:
    """What a server sends as it is."""

    is_whole = True

    def take(self, block: bytes) -> Iterator[bytes]:
        """Yield a block."""
        yield block


class Unpacked:
    """What a server packed unasked, with gzip or zlib, in blocks: what unpacks to too much can be cut off."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._machine = _inflating()
        self._begun = False

    @property
    def is_whole(self) -> bool:
        """Whether what came ends where it says that it ends."""
        return self._machine.eof or not self._begun

    def take(self, packed: bytes) -> Iterator[bytes]:
        """Yield what more packed bytes unpack to, block by block."""
        self._begun = True
        left = packed
        while True:
            if self._machine.eof and left:  # gzip may have several parts
                if not left.startswith(_GZIP_BEGINNING[: len(left)]):
                    raise WebError("download_failed", "sent data after the end of its compressed stream")
                self._machine = _inflating()
            try:
                block = self._machine.decompress(left, self._block_bytes)
            except zlib.error as error:
                raise WebError("download_failed", f"sent damaged compressed data: {error}") from None
            left = self._machine.unused_data if self._machine.eof else self._machine.unconsumed_tail
            if block:
                yield block
            if not left and (self._machine.eof or len(block) < self._block_bytes):
                return


def _inflating() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
