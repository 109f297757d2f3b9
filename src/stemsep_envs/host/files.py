"""Writing, publishing and removing files: the one place where this package changes a disk.

A file appears under its name whole or not at all: it is written beside, flushed to the disk and renamed. A folder
likewise: built under a name nobody reads, then renamed.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import secrets
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import BinaryIO

from stemsep_envs.errors import LimitError, StemsepEnvError, UsageError
from stemsep_envs.host.tree_removal import remove_file, remove_tree

__all__ = [
    "blocks_of",
    "can_clone",
    "copy_hashed",
    "ensure_dir",
    "explain",
    "explained",
    "flush_dir",
    "link_or_copy",
    "make_owned_dir",
    "open_plain",
    "publish",
    "remove_file",
    "remove_tree",
    "scratch_dir",
    "sha256_of",
    "sweep_scratch",
    "touch",
    "write_atomic",
]

_log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 18
_ZEROS = bytes(_BLOCK_BYTES)
_OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_BESIDE = re.compile(r"\.stemsep-env-[0-9a-f]{16}\.tmp")
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
            _flush(stream)
    if durable:
        flush_dir(path.parent)


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
                raise FileExistsError(errno.EEXIST, "a folder with content is there", str(final)) from error
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
            if _BESIDE.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                remove_file(Path(entry.path))


def _flush(stream: BinaryIO) -> None:
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


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating-system error about ``path`` into words a user can act on.

    Raises:
        LimitError: The disk is full or a quota is used up.
        UsageError: Not allowed, read-only, a file where a folder is needed, a name too long.
    """
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> StemsepEnvError:
    """Return the error to raise for what the operating system said about ``path``."""
    if error.errno in _NO_SPACE:
        return LimitError(
            f"no space left while writing {path}",
            hint="free some space, or choose another folder",
            code="no_space",
        )
    reasons = {
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.EEXIST: "something is there already",
        errno.EISDIR: "a folder is there",
        errno.ENOTEMPTY: "a folder with content is there",
        errno.ENAMETOOLONG: "the name is too long for this file system",
    }
    words = reasons.get(error.errno or 0, error.strerror or str(error))
    return UsageError(f"cannot write {path}: {words}", hint="choose a folder you can write to", code="not_writable")


@contextmanager
def scratch_dir(parent: Path, prefix: str, *, keep: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yield a new private folder under ``parent`` and remove it, with all that is in it, at the end.

    Args:
        parent: Where.
        prefix: How its name begins.
        keep: Says at the end whether it is to stay after all.

    Raises:
        UsageError: ``parent`` cannot be made or written.
    """
    ensure_dir(parent)
    folder = parent / f"{prefix}{os.getpid()}-{secrets.token_hex(4)}"
    with explained(folder):
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        try:
            if keep is None or not keep(folder):
                remove_tree(folder)
        except OSError as error:  # what happened in the block matters more
            _log.warning("cannot remove %s: %s", folder, error.strerror or error)


def sweep_scratch(parent: Path, prefix: str) -> None:
    """Remove what `scratch_dir` left under ``parent`` where its process was killed; nothing of another user's.

    Only what is an hour old: where processes have other numbers (a container), that one is not seen means little. Where
    they cannot be looked up at all, everything stays.
    """
    if sys.platform != "linux":
        return
    for folder in parent.glob(f"{prefix}*-*"):
        pid = folder.name.removeprefix(prefix).split("-", 1)[0]
        with suppress(OSError):
            facts = folder.lstat()
            is_ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
            is_old = time.time() - facts.st_mtime > _ABANDONED_SECONDS
            if is_ours and is_old and pid.isdigit() and not Path("/proc", pid).exists():
                remove_tree(folder)


def blocks_of(stream: BufferedIOBase) -> Iterator[memoryview]:
    """Yield what an open file holds, block by block, in one buffer that is filled again: use each before the next."""
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    while size := stream.readinto(buffer):
        yield buffer[:size]


def sha256_of(path: Path, *, check: Callable[[], None] | None = None) -> tuple[str, int]:
    """Return the SHA-256 (hexadecimal) and the size in bytes of a file.

    Args:
        path: The file.
        check: Called after every block; may raise to stop.
    """
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        for block in blocks_of(stream):
            digest.update(block)
            size += len(block)
            if check is not None:
                check()
    return digest.hexdigest(), size


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading that is a plain file: neither a folder, nor a pipe that would never end, nor a device.

    Raises:
        OSError: It cannot be opened, or is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file")
    return os.fdopen(descriptor, "rb")


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
            _flush(stream)
    return digest.hexdigest(), size


def _is_zeros(block: memoryview) -> bool:
    # A look at three bytes spares nearly every block the comparison, which copies it.
    return not (block[0] or block[len(block) // 2] or block[-1]) and bytes(block) == _ZEROS[: len(block)]


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


def ensure_dir(path: Path) -> Path:
    """Make a folder and its parents.

    Raises:
        UsageError: It cannot be made, or a file stands in its place.
    """
    with explained(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UsageError(f"{path} is a file, not a folder", hint="name a folder", code="not_a_folder") from None
    return path


def make_owned_dir(parent: Path, *, ours: Path) -> Path:
    """Make a folder in one that another user writes, maybe at this moment, and give it to whoever owns that one.

    A name in such a folder may be a link the next moment. So the new one is made out of that user's reach, given away
    by its descriptor, and moved in when it is done, under a name that cannot be known beforehand.

    Args:
        parent: The other's folder; its own name is not theirs to change.
        ours: A folder on the same file system that only this program reaches.

    Raises:
        UsageError: It cannot be made.
    """
    name = secrets.token_hex(8)
    made = ours / name
    with explained(made):
        made.mkdir(mode=0o700)
        if sys.platform == "win32":
            return made.rename(parent / name)
        mode = stat.S_IMODE(parent.lstat().st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:  # they have locked themselves out
            parent.chmod(mode | stat.S_IRWXU)
        folder = os.open(parent, _OPEN_FOLDER)
        try:
            _give_away(made, os.fstat(folder))
            os.rename(made, name, dst_dir_fd=folder)
        finally:
            os.close(folder)
    return parent / name


def _give_away(folder: Path, owner: os.stat_result) -> None:
    descriptor = os.open(folder, _OPEN_FOLDER)
    try:
        if os.fstat(descriptor).st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)


def touch(path: Path) -> None:
    """Set a file's time of last change to now, making it if needed; failing to is not an error (read-only homes)."""
    with suppress(OSError):
        path.touch()
        os.utime(path, (time.time(), time.time()))


def can_clone(source: Path, destination: Path) -> bool:
    """Say whether files of one folder can be cloned (copy on write) into another, by trying it where possible."""
    if sys.platform == "darwin":
        return True  # APFS; elsewhere the cloning tool itself falls back, and what it made is looked at afterwards
    if not sys.platform.startswith("linux"):
        return False
    import fcntl  # noqa: PLC0415 - not on every platform

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
