"""Making folders: for this user, and for another one whose folders cannot be trusted."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from pathlib import Path

from stemsep_envs.errors import UsageError
from stemsep_envs.host.write_errors import explained

_OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


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
