"""Bytecode that a confined health check compiled, put where Python looks for it.

The check may not write to the environment, whose files can be links into the package cache, so its bytecode comes in a
tree of its own beside. What is taken of it is for modules that are in the environment; other code than their own in it
could do no more than the packages themselves, which are imported by the same workers.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stemsep_envs.host.untrusted_files import leads_out

_MAX_FILES = 200_000
_MAX_BYTES = 64 << 20
_CACHE = "__pycache__"


def take_bytecode(tree: Path, venv: Path) -> int:
    """Move compiled modules of an environment from a tree of Python's ``pycache_prefix``; return how many.

    Args:
        tree: The prefix.
        venv: The virtual environment.
    """
    base = tree / venv.relative_to(venv.anchor)
    if leads_out(base, tree.parent):  # a link in place of a folder would lead to other environments' bytecode
        return 0
    taken = 0
    for folder, folders, names in os.walk(base, followlinks=False):
        home = venv / Path(folder).relative_to(base)
        folders[:] = [name for name in folders if (home / name).is_dir() and not (home / name).is_symlink()]
        modules = {name: home / f"{name.partition('.')[0]}.py" for name in names if name.endswith(".pyc")}
        compiled = [name for name, module in modules.items() if module.is_file()]
        if not compiled:
            continue
        (home / _CACHE).mkdir(exist_ok=True)
        for name in compiled:
            taken += _take(Path(folder) / name, home / _CACHE / name)
            if taken >= _MAX_FILES:
                return taken
    return taken


def _take(source: Path, destination: Path) -> bool:
    """Move one file, if it is a regular one with no other name, and make it ours."""
    status = source.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size > _MAX_BYTES:
        return False
    source.rename(destination)
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        os.chown(destination, os.geteuid(), os.getegid(), follow_symlinks=False)
    destination.chmod(0o644)
    return True
