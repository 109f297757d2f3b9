"""The files of an interpreter: what must be readable to run it, and no more; some lie right in a user's home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PARTS = (
    *("pyvenv.cfg", "bin/python*", "bin/pypy*"),
    *("lib/python*", "lib/pypy*", "lib/libpython*", "lib64/python*", "lib64/libpython*"),
)
"""What an interpreter reads of the folder that it shares with others."""

_HOMES = {"home", "Users"}
_MOST_LINKS = 40


def readable_for(executable: Path, *prefixes: Path) -> tuple[Path, ...]:
    """Return what must be readable to run an interpreter.

    Args:
        executable: The interpreter, or a link to it: the links on the way to it are needed too.
        prefixes: What else it is made of: a virtual environment, the folder of its standard library.
    """
    *links, real = _way_to(executable)
    folders = dict.fromkeys(part for root in (real.parents[1], *prefixes) for part in parts_of(root))
    alone = dict.fromkeys((*links, real))
    return (*folders, *(path for path in alone if not any(outer in folders for outer in (path, *path.parents))))


def parts_of(root: Path) -> tuple[Path, ...]:
    """Return what an interpreter needs of the folder that it is installed in: the folder, where it is its own."""
    if not _is_shared(root):
        return (root,)
    return tuple(sorted(path for pattern in _PARTS for path in root.glob(pattern)))


def _is_shared(root: Path) -> bool:
    """Say whether a folder holds more than an interpreter: a user's home, what lies above it, and ``.local`` in it."""
    real, home = root.resolve(), Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - without a home it stays "~"
    return (
        real == home
        or real in home.parents
        or real.name == ".local"
        or not _HOMES.isdisjoint({real.name, real.parent.name})
    )


def _way_to(executable: Path) -> Iterator[Path]:
    """Yield a path and what it leads to, link by link; the last is no link, though folders above it may be."""
    for _ in range(_MOST_LINKS):
        if not executable.is_symlink():
            break
        yield executable
        executable = Path(os.path.normpath(executable.parent.resolve() / executable.readlink()))
    yield executable.resolve()
