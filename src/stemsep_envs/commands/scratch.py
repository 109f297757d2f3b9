"""A session's scratch folder: hidden beside the outputs, so that finished stems are renamed into place.

It is never left behind: what a killed process could not remove, the next session does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import StemsepEnvError, UsageError
from stemsep_envs.host.files import ensure_dir, remove_tree, scratch_dir
from stemsep_envs.host.locks import hold

_PREFIX = ".stemsep-env-"
_HOLD = "hold"
_NEW_SECONDS = 3600.0
"""A folder without a hold that is older than this is not about to get one."""


@dataclass(frozen=True)
class Scratch:
    """A session's folders: ``work_dir`` is the worker's to write, ``inputs_dir`` its to read; ``taken_dir`` is ours."""

    work_dir: Path
    inputs_dir: Path
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
    with ExitStack() as held:
        scratch = _held_dir(parent, held)
        yield Scratch(*(ensure_dir(scratch / name) for name in ("work", "inputs", "taken")))


def _held_dir(parent: Path, held: ExitStack) -> Path:
    """Make a folder and hold it. Another session may find the hold just before it is held, and remove all of it."""
    while True:
        with ExitStack() as attempt:
            scratch = attempt.enter_context(scratch_dir(parent, _PREFIX))
            try:
                attempt.enter_context(hold(scratch / _HOLD))
            except UsageError:
                if scratch.exists():
                    raise
                continue
            if (scratch / _HOLD).exists():
                held.enter_context(attempt.pop_all())
                return scratch


def _remove_abandoned(parent: Path) -> None:
    for leftover in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError, StemsepEnvError):  # held, another user's, or removed by someone else meanwhile
            if leftover.is_symlink() or not leftover.is_dir():
                continue
            if (leftover / _HOLD).is_file():
                with hold(leftover / _HOLD, timeout_seconds=0):
                    remove_tree(leftover)
            elif time.time() - leftover.stat().st_mtime > _NEW_SECONDS:
                remove_tree(leftover)
