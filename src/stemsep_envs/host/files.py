"""Writing, publishing and removing files: the one place where this package changes a disk.

A file appears under its name whole or not at all: it is written beside, flushed to the disk and renamed. A folder
likewise: built under a name nobody reads, then renamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from stemsep_envs.errors import LimitError, StemsepEnvError, UsageError

_CHUNK_BYTES = 1 << 20
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomic(path: Path, data: bytes) -> None:
    """Give ``path`` the content ``data``, whole or not at all, even through a crash.

    Raises:
        LimitError: The disk is full.
        UsageError: The folder cannot be written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            with beside.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        flush_dir(path.parent)


def publish(staged: Path, final: Path) -> None:
    """Give a finished file or folder its final name; a file that is there is replaced.

    A file may come from another file system (it is copied beside first); a folder must lie on the same one.

    Raises:
        LimitError: The disk is full.
        UsageError: The folder cannot be written.
        FileExistsError: ``final`` is a folder with content.
    """
    with explained(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        if staged.is_dir():
            staged.rename(final)
            flush_dir(final.parent)
            return
        try:
            staged.replace(final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with staged.open("rb") as stream:
                copy_hashed(stream, final, max_bytes=sys.maxsize)
            staged.unlink()


def flush_dir(folder: Path) -> None:
    """Ask the disk to keep a folder's entries; where the platform cannot (Windows), do nothing."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems refuse
            os.fsync(descriptor)
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
    except FileExistsError:
        raise
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
        errno.ENAMETOOLONG: "the name is too long for this file system",
    }
    words = reasons.get(error.errno or 0, error.strerror or str(error))
    return UsageError(f"cannot write {path}: {words}", hint="choose a folder you can write to", code="not_writable")


@contextmanager
def scratch_dir(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new private folder under ``parent`` and remove it, with all that is in it, at the end."""
    with explained(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f"{prefix}{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, also what is marked read-only; a folder that is not there is fine.

    Links are removed, never followed.
    """
    if path.is_symlink():
        path.unlink()
        return
    if not path.exists():
        return
    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=_make_writable_and_retry)
    else:
        shutil.rmtree(path, onerror=lambda call, name, info: _make_writable_and_retry(call, name, info[1]))


def remove_file(path: Path) -> None:
    """Remove a file; one that is not there is fine."""
    with suppress(FileNotFoundError):
        path.unlink()


def _make_writable_and_retry(call: Callable[..., object], name: str, error: BaseException) -> None:
    if isinstance(error, FileNotFoundError):
        return  # someone else removed it first
    if not isinstance(error, PermissionError):
        raise error
    parent = Path(name).parent
    parent.chmod(parent.stat().st_mode | stat.S_IRWXU)
    if Path(name).is_dir() and not Path(name).is_symlink():
        Path(name).chmod(stat.S_IRWXU)
    if call in {os.open, os.scandir, os.listdir, os.lstat}:
        shutil.rmtree(name)
    else:
        call(name)


def sha256_of(path: Path, *, check: Callable[[], None] | None = None) -> tuple[str, int]:
    """Return the SHA-256 (hexadecimal) and the size in bytes of a file.

    Args:
        path: The file.
        check: Called after every block; may raise to stop.
    """
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK_BYTES):
            digest.update(block)
            size += len(block)
            if check is not None:
                check()
    return digest.hexdigest(), size


def copy_hashed(source: BinaryIO, destination: Path, *, max_bytes: int) -> tuple[str, int]:
    """Copy an open file to ``destination``, whole or not at all; return the SHA-256 and size of what was copied.

    Raises:
        LimitError: The disk is full, or more than ``max_bytes`` came.
        UsageError: The folder cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    with explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        beside = destination.parent / f".{os.getpid()}.{secrets.token_hex(6)}.tmp"
        try:
            with beside.open("xb") as stream:
                while block := source.read(_CHUNK_BYTES):
                    size += len(block)
                    if size > max_bytes:
                        raise LimitError(f"{destination.name} grew past {max_bytes} bytes", code="output_too_large")
                    digest.update(block)
                    stream.write(block)
            beside.replace(destination)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    return digest.hexdigest(), size


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
