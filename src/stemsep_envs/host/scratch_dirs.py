"""Scratch folders: private, removed at the end of a block, swept later where the process was killed before it."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.host.write_errors import explained

_log = logging.getLogger(__name__)

_ABANDONED_SECONDS = 3600.0
"""A folder that nothing was added to for this long may have lost its process."""


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
