"""A file under a second name: a hard link, a copy-on-write clone, or a copy."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.host.tree_removal import remove_file


def link_or_copy(source: Path, destination: Path, *, copy: bool = False) -> None:
    """Give a file a second name: by a hard link, else by a copy that everyone may read.

    Args:
        source: The file, not a link.
        destination: The new name, in a folder that is there.
        copy: Do not link.

    Raises:
        OSError: The source cannot be read.
        LimitError: No space for a copy.
    """
    if not copy:
        with suppress(OSError):
            os.link(source, destination)
            return
    with source.open("rb") as stream:
        copy_hashed(stream, destination, max_bytes=sys.maxsize, durable=False)
    destination.chmod(0o644)


def can_clone(source: Path, destination: Path) -> bool:
    """Say whether files of one folder can be cloned (copy on write) into another, by trying it where possible."""
    if sys.platform == "darwin":
        return True  # APFS; elsewhere the cloning tool itself falls back, and what it made is looked at afterwards
    if not sys.platform.startswith("linux"):
        return False
    import fcntl  # noqa: PLC0415, TID251 - not on every platform; no lock is taken

    clone_request = 0x40049409  # FICLONE of linux/fs.h
    name = f".clone-{os.getpid()}-{secrets.token_hex(4)}"
    original, copy = source / name, destination / name
    try:
        with original.open("xb") as from_stream, copy.open("xb") as to_stream:
            from_stream.write(b"clone")
            from_stream.flush()
            fcntl.ioctl(to_stream.fileno(), clone_request, from_stream.fileno())
    except OSError:
        return False
    else:
        return True
    finally:
        remove_file(original)
        remove_file(copy)
