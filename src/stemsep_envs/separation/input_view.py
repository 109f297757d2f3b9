"""Showing a confined worker its input: by a link or copy in a folder that it may read and nothing else.

The folder is in the worker's view from its start, so that tracks which were not known then can be shown later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.errors import UsageError
from stemsep_envs.host.links_and_copies import link_or_copy
from stemsep_envs.host.tree_removal import remove_file

_WORLD_READABLE = 0o004


@contextmanager
def shown_input(source: Path, inputs_dir: Path, number: int) -> Iterator[Path]:
    """Yield the path under which the worker sees ``source``; it is gone at the end.

    A hard link costs nothing. Where that cannot be (another file system, a file of another user's, a private file that
    the unprivileged user a worker of root's runs as could not read) the file is copied.

    Raises:
        UsageError: The input cannot be read.
        LimitError: No space for a copy.
    """
    suffix = source.suffix if source.suffix[1:].isalnum() and source.suffix.isascii() else ""
    shown = inputs_dir / f"{number}{suffix}"
    try:
        private = not source.stat().st_mode & _WORLD_READABLE and hasattr(os, "geteuid") and os.geteuid() == 0
        link_or_copy(source.resolve(), shown, copy=private)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}", code="input_unreadable") from None
    try:
        yield shown
    finally:
        remove_file(shown)
