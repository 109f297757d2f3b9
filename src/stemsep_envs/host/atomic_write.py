"""Atomic writes: a file appears under its name whole or not at all, whatever crashes.

It is written beside, flushed to the disk and renamed. A folder likewise: built under a name nobody reads, then renamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

from stemsep_envs.errors import LimitError, UsageError
from stemsep_envs.host.file_reading import BLOCK_BYTES, blocks_of
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.fsync import flush_dir, flush_file
from stemsep_envs.host.tree_removal import remove_file
from stemsep_envs.host.write_errors import explained

_ZEROS = bytes(BLOCK_BYTES)

_TEMPORARY_NAME = re.compile(r"\.stemsep-env-[0-9a-f]{16}\.tmp")
_ABANDONED_SECONDS = 3600.0
"""A temporary file that was not written to for this long has lost its writer."""

_swept: set[Path] = set()
"""Folders that this process has looked through for abandoned temporary files."""


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Give ``path`` the content ``data``, whole or not at all, even through a crash.

    A link that is there is replaced, not followed.

    Args:
        path: The file.
        data: Its content.
        durable: Whether to wait until it is on the disk: a note of what goes on now need not outlive a power cut, at
            which all that it tells of ends.

    Raises:
        LimitError: The disk is full.
        UsageError: The folder cannot be written.
    """
    with explained(path), _beside(path) as stream:
        stream.write(data)
        if durable:
            flush_file(stream)
    if durable:
        flush_dir(path.parent)


def write_private(path: Path, data: bytes) -> None:
    """Give a file in a folder that only this process writes the content ``data``, whole or not at all.

    For notes of what goes on now: nothing is flushed, no folder is made, and nobody's leftovers are looked for.

    Raises:
        LimitError: The disk is full.
        UsageError: The folder cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    with explained(path):
        beside.write_bytes(data)
        beside.replace(path)


def copy_hashed(
    source: BufferedIOBase,
    destination: Path,
    *,
    max_bytes: int,
    durable: bool = True,
    sparse: bool = False,
    on_block: Callable[[int], None] | None = None,
) -> tuple[str, int]:
    """Copy an open file to ``destination``, whole or not at all; return the SHA-256 and size of what was copied.

    Args:
        source: What to read, from where it stands.
        destination: The new file.
        max_bytes: The most that is taken.
        durable: Whether to wait until it is on the disk, so that it is whole even after a power cut.
        sparse: Whether blocks of zeros are left out, as holes that cost no space.
        on_block: Called with the size of each block; may raise to stop.

    Raises:
        LimitError: The disk is full, or more than ``max_bytes`` came.
        UsageError: The folder cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    with explained(destination), _beside(destination) as stream:
        for block in blocks_of(source):
            size += len(block)
            if size > max_bytes:
                raise LimitError(f"{destination.name} grew past {max_bytes} bytes", code="output_too_large")
            if on_block is not None:
                on_block(len(block))
            digest.update(block)
            if sparse and _is_zeros(block):
                stream.seek(len(block), os.SEEK_CUR)
            else:
                stream.write(block)
        stream.truncate(size)  # a hole at the end is no part of it yet
        if durable:
            flush_file(stream)
    return digest.hexdigest(), size


def _is_zeros(block: memoryview) -> bool:
    # A look at three bytes spares nearly every block the comparison, which copies it.
    return not (block[0] or block[len(block) // 2] or block[-1]) and bytes(block) == _ZEROS[: len(block)]


def publish(staged: Path, final: Path) -> None:
    """Give a finished file or folder its final name; a file that is there is replaced.

    A file may come from another file system (it is copied beside first); a folder must lie on the same one.

    Raises:
        LimitError: The disk is full.
        UsageError: The folder cannot be written.
        FileExistsError: ``final`` is a folder with content.
    """
    ensure_dir(final.parent)
    if staged.is_dir():
        try:
            with explained(final):
                staged.rename(final)
        except UsageError as error:
            if final.is_dir() and any(final.iterdir()):  # systems differ in what they call this
                raise FileExistsError(errno.EEXIST, "it is a folder that is not empty", str(final)) from error
            raise
        flush_dir(final.parent)
        return
    with explained(final):
        try:
            staged.replace(final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with staged.open("rb") as stream:
                copy_hashed(stream, final, max_bytes=sys.maxsize)
            staged.unlink()


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file beside ``path`` that takes its name at the end of the block, or is gone if the block fails."""
    ensure_dir(path.parent)
    _sweep(path.parent)
    beside = path.parent / f".stemsep-env-{secrets.token_hex(8)}.tmp"
    try:
        with beside.open("xb") as stream:
            yield stream
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _sweep(folder: Path) -> None:
    """Remove temporary files that killed processes left in a folder; each process looks once."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY_NAME.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                remove_file(Path(entry.path))
