"""A session's scratch folder: hidden beside the outputs, so that finished stems are renamed into place.

It is never left behind: what a killed process could not remove, the next session does, wherever that one's outputs are:
the home notes, for each session that lives, the folder its scratch is in.

    cache/sessions/<id>.where    the folder, written before anything is made in it
    cache/sessions/<id>.hold     locked while the session lives

What a killed process had put in place without a record is taken back then, and what it had put aside for that comes
back (`placement`).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import StemsepEnvError, UsageError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.locks import hold, is_held
from stemsep_envs.host.paths import Home
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.host.tree_removal import remove_file, remove_tree
from stemsep_envs.host.write_errors import explained
from stemsep_envs.sandbox.policy import OWN_FOLDERS
from stemsep_envs.separation.undo_journal import has_note, put_right

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

    @property
    def root(self) -> Path:
        """The hidden folder that all of it is in, held while the session lives."""
        return self.work_dir.parent

    @property
    def parent(self) -> Path:
        """The folder that all of it is hidden in, which the home notes for as long as the session lives."""
        return self.root.parent

    @property
    def output_limit_file(self) -> Path:
        """Where the worker's launcher reads how much the worker may write at the moment."""
        return self.taken_dir / "bound"

    def renew_work(self) -> None:
        """Give the next worker an empty folder: in that of one that ended, any name may be anything."""
        old = self.work_dir.with_name(f"work-{secrets.token_hex(4)}")
        with explained(self.work_dir), suppress(FileNotFoundError):  # where nothing confines it, it can remove its own
            self.work_dir.rename(old)
        ensure_dir(self.work_dir)
        with suppress(OSError):  # then it goes with all the rest
            remove_tree(old)


def parent_of_scratch(output_dir: Path, home: Home) -> Path:
    """Return where a session's scratch goes: beside the outputs, but not where no worker can be shown a folder."""
    names = (output_dir.absolute(), output_dir.resolve())
    if any(name.is_relative_to(own) for name in names for own in OWN_FOLDERS):
        return home.cache_dir / "scratch"
    return output_dir


@contextmanager
def session_scratch(parent: Path, *, home: Home | None = None) -> Iterator[Scratch]:
    """Yield a session's new folders under ``parent``; all of it is gone at the end.

    What a killed process left there earlier is removed too: its hold is no longer held. With a ``home``, so is what
    killed sessions of this home left anywhere.

    Raises:
        UsageError: ``parent`` cannot be made or written, or is a file.
    """
    ensure_dir(parent)
    clear_folder(parent)
    if home is not None:
        clear_abandoned(home)
    with hidden_dir(parent, home=home) as scratch:
        yield Scratch(*(ensure_dir(scratch / name) for name in ("work", "inputs", "taken")))


@contextmanager
def hidden_dir(parent: Path, *, home: Home | None = None) -> Iterator[Path]:
    """Yield a new private folder that is held while the block runs, and gone at the end.

    With a ``home``, that notes where it is for as long. A folder with something to put right stays.

    Raises:
        UsageError: ``parent`` cannot be made or written.
    """
    with ExitStack() as held:
        if home is not None:
            held.enter_context(_noted(parent, home))
        yield _held_dir(parent, held)


def _held_dir(parent: Path, held: ExitStack) -> Path:
    """Make a folder and hold it. Another session may find the hold just before it is held, and remove all of it."""
    while True:
        with ExitStack() as attempt:
            scratch = attempt.enter_context(scratch_dir(parent, _PREFIX, keep=has_note))
            try:
                attempt.enter_context(hold(scratch / _HOLD))
            except UsageError:
                if scratch.exists():
                    raise
                continue
            if (scratch / _HOLD).exists():
                held.enter_context(attempt.pop_all())
                return scratch


def abandoned(home: Home) -> tuple[Path, ...]:
    """Return what killed sessions of this home left, wherever it is."""
    parents = {where for _, where in _dead_notes(home)}
    return tuple(sorted(path for parent in parents for path in _abandoned_in(parent)))


def clear_abandoned(home: Home) -> tuple[Path, ...]:
    """Remove what killed sessions of this home left, wherever it is; return what went."""
    gone: list[Path] = []
    for note, where in _dead_notes(home):
        gone += clear_folder(where)
        if not _abandoned_in(where):
            with suppress(OSError, StemsepEnvError):
                remove_file(note)
                remove_file(note.with_suffix(".hold"))
    return tuple(gone)


@contextmanager
def _noted(parent: Path, home: Home) -> Iterator[None]:
    """Note in the home where a session's scratch is while the block runs; a home that is read-only notes nothing."""
    note = _notes_dir(home) / f"{os.getpid()}-{secrets.token_hex(4)}.where"
    with ExitStack() as held:
        with suppress(StemsepEnvError, OSError):
            ensure_dir(note.parent)
            held.callback(remove_file, note.with_suffix(".hold"))
            held.enter_context(hold(note.with_suffix(".hold")))
            held.callback(remove_file, note)
            write_atomic(note, os.fsencode(parent.absolute()), durable=False)
        yield


def _dead_notes(home: Home) -> Iterator[tuple[Path, Path]]:
    """Yield the notes of sessions that ended without taking them back, each with the folder it names."""
    for note in sorted(_notes_dir(home).glob("*.where")):
        with suppress(OSError, StemsepEnvError):
            if not is_held(note.with_suffix(".hold")):
                yield note, Path(os.fsdecode(note.read_bytes()))


def _notes_dir(home: Home) -> Path:
    return home.cache_dir / "sessions"


def _abandoned_in(parent: Path) -> list[Path]:
    found = []
    for leftover in _scratches(parent):
        with suppress(OSError, StemsepEnvError):  # another user's, or removed by someone else meanwhile
            if leftover.is_symlink() or not leftover.is_dir():
                continue
            is_old = time.time() - leftover.stat().st_mtime > _NEW_SECONDS
            if not is_held(leftover / _HOLD) if (leftover / _HOLD).is_file() else is_old:
                found.append(leftover)
    return found


def _scratches(parent: Path) -> list[Path]:
    try:
        return list(parent.glob(f"{_PREFIX}*"))
    except OSError:  # it cannot be listed
        return []


def clear_folder(parent: Path) -> list[Path]:
    """Remove what killed sessions left in a folder, and put right what they had begun to place; return what went."""
    gone = []
    for leftover in _abandoned_in(parent):
        with suppress(OSError, StemsepEnvError), ExitStack() as held:  # held by now, or removed meanwhile
            if (leftover / _HOLD).is_file():
                held.enter_context(hold(leftover / _HOLD, timeout_seconds=0))
            if put_right(leftover, ours=False):
                remove_tree(leftover)
                gone.append(leftover)
    return gone
