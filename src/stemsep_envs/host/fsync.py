"""Asking the disk to keep what was written, so that a power cut takes nothing that was told to be done."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)


def flush_file(stream: BinaryIO) -> None:
    """Wait until what was written to an open file is on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def flush_dir(folder: Path) -> None:
    """Ask the disk to keep a folder's entries; where the platform cannot (Windows), do nothing."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # some network file systems refuse, and a folder may be written to and not read
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def keeping_on_disk(folder: Path) -> Iterator[None]:
    """Have what was written to the folder's file system so far on the disk at the end of the block.

    One call for all of it: asking for each of some ten thousand files takes minutes on some disks. Where the system has
    no such call (Windows), nothing is done.
    """
    flushing = threading.Thread(target=_flush_file_system, args=(folder,), name="flush")
    flushing.start()
    try:
        yield
    finally:
        flushing.join()


def _flush_file_system(folder: Path) -> None:
    if sys.platform == "win32":
        return
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    import ctypes  # noqa: PLC0415 - needed only by builds

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            _log.warning("the disk may not keep %s: %s", folder, os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)
