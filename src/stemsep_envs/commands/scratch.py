"""A session's scratch folder: hidden beside the outputs, so that finished stems are renamed into place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.host.files import ensure_dir, remove_tree, scratch_dir
from stemsep_envs.host.locks import hold, is_held

_PREFIX = ".stemsep-env-"
_HOLD = "hold"


@dataclass(frozen=True)
class Scratch:
    """A session's two folders: ``work_dir`` is the worker's to write, ``taken_dir`` is ours alone."""

    work_dir: Path
    taken_dir: Path


@contextmanager
def session_scratch(parent: Path) -> Iterator[Scratch]:
    """Yield a session's new folders under ``parent``; all of it is gone at the end.

    What a killed process left there earlier is removed too: its hold is no longer held.

    Raises:
        UsageError: ``parent`` cannot be made or written, or is a file.
    """
    ensure_dir(parent)
    _remove_abandoned(parent)
    with scratch_dir(parent, _PREFIX) as scratch, hold(scratch / _HOLD):
        yield Scratch(ensure_dir(scratch / "work"), ensure_dir(scratch / "taken"))


def _remove_abandoned(parent: Path) -> None:
    for leftover in parent.glob(f"{_PREFIX}*"):
        # One without a hold was just made, or its owner died in that instant: it is empty and stays.
        if (leftover / _HOLD).exists() and not is_held(leftover / _HOLD):
            remove_tree(leftover)
