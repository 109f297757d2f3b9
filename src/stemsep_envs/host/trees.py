"""Removing files and folders, also hostile ones: read-only, bottomless, full of links, changing meanwhile."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MOST_RACES = 100
_RACES = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
"""What the system says where someone still makes files, or put something else in a folder's place."""


def remove_file(path: Path) -> None:
    """Remove a file; one that is not there is fine."""
    with suppress(FileNotFoundError):
        path.unlink()


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, also what is marked read-only and however deep; one that is not there is fine.

    Links are removed, never followed, and nothing outside of the folder changes. What else vanishes meanwhile is fine.

    Raises:
        OSError: Something in it cannot be removed.
    """
    if path.is_symlink() or not path.is_dir():
        remove_file(path)
    elif sys.platform == "win32":
        _remove_tree_on_windows(path)
    else:
        with suppress(FileNotFoundError):
            _remove_dir(path)


def _remove_dir(path: Path) -> None:
    for race in range(_MOST_RACES):
        top = _open_dir(path, None)
        try:
            _empty(top)
        finally:
            os.close(top)
        try:
            path.rmdir()
        except OSError as error:
            if error.errno not in _RACES or race == _MOST_RACES - 1:
                raise
        else:
            return


def _empty(top: int) -> None:
    """Remove all in an open folder. What lies deeper is moved up first: depth costs neither stack nor descriptors."""
    raced = 0
    while folders := _remove_files(top):
        for folder in folders:
            try:
                inner = _open_dir(folder, top)
                try:
                    for deeper in _remove_files(inner):
                        _make_writable(deeper, inner)  # a folder that moves has its ".." written
                        os.rename(deeper, secrets.token_hex(16), src_dir_fd=inner, dst_dir_fd=top)
                finally:
                    os.close(inner)
                os.rmdir(folder, dir_fd=top)
            except FileNotFoundError:
                continue
            except OSError as error:
                raced += 1  # someone still makes files in it, or put something else in its place
                if raced > _MOST_RACES or error.errno not in _RACES:
                    raise


def _remove_files(folder: int) -> list[str]:
    """Remove what is not a folder from an open folder; return the names of its folders."""
    with os.scandir(folder) as entries:
        kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    for name, is_dir in kinds.items():
        if not is_dir:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)  # noqa: TID251 - here files are removed
    return [name for name, is_dir in kinds.items() if is_dir]


def _open_dir(name: str | Path, parent: int | None) -> int:
    """Open a folder, not through a link, to be read and written whatever its mode was."""
    _make_writable(name, parent)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _make_writable(name: str | Path, parent: int | None) -> None:
    facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(PermissionError):  # another user's; whether that matters shows when it is used
            os.chmod(name, stat.S_IRWXU, dir_fd=parent)


def _remove_tree_on_windows(path: Path) -> None:
    def retry(call: Callable[..., object], name: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if not isinstance(error, PermissionError):
            raise error
        Path(name).chmod(stat.S_IWRITE)
        call(name)

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=retry)  # noqa: TID251
    else:
        shutil.rmtree(path, onerror=lambda call, name, info: retry(call, name, info[1]))  # noqa: TID251
