"""What the operating system says about a write, as an error that a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.errors import LimitError, StemsepEnvError, UsageError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
        errno.EEXIST: "it exists already",
        errno.EISDIR: "it is a folder",
        errno.ENOTEMPTY: "it is a folder that is not empty",
        errno.ENAMETOOLONG: "the name is too long for this file system",
    }
    words = reasons.get(error.errno or 0, error.strerror or str(error))
    return UsageError(f"cannot write {path}: {words}", hint="choose a folder you can write to", code="not_writable")
