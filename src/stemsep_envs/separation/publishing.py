"""Putting a track's stems in place with their record: all of them or none, through any end of this program."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from stemsep_envs.errors import UsageError
from stemsep_envs.host.atomic_write import publish
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.write_errors import explain, explained
from stemsep_envs.separation.output_names import TrackNames
from stemsep_envs.separation.scratch import Scratch, hidden_dir
from stemsep_envs.separation.undo_journal import (
    Note,
    PlacedFile,
    aside,
    digest_at,
    forget_note,
    is_clean,
    link_of_another,
    put_right,
    write_note,
)
from stemsep_envs.worker.ingest import Ingested


@contextmanager
def journal_folder(output_dir: Path, *, scratch: Scratch, home: Home) -> Iterator[Path]:
    """Yield a hidden folder in an output folder, held by this process, in which it is noted what is being published.

    A session whose scratch is hidden there uses that for all its tracks, since making a folder with its lock costs more
    than publishing a track. For any other output folder one is made, and gone at the end.

    Args:
        output_dir: Where stems go.
        scratch: The session's own folders.
        home: Notes where work is under way, for whoever cleans up after a process that was killed.

    Raises:
        UsageError: The output folder cannot be made or written.
    """
    is_noted = output_dir == scratch.parent
    if is_noted and is_clean(scratch.root):
        yield scratch.root
        return
    with hidden_dir(output_dir, home=None if is_noted else home) as folder:
        yield folder


@contextmanager
def published(
    taken: Mapping[str, Ingested], names: TrackNames, output_dir: Path, *, journal_dir: Path
) -> Iterator[None]:
    """Put stems in place; the block writes their record. If it fails, all is as it was before.

    What stood in their place is put aside first, and goes when the record stands.

    Args:
        taken: The stems, where the worker cannot reach them.
        names: Where they go.
        output_dir: Below this folder.
        journal_dir: A clean hidden folder of this process in ``output_dir``; see `journal_folder`.

    Raises:
        UsageError: A folder stands where a file goes, or the output folder cannot be written.
        LimitError: The disk is full.
    """
    staged = {names.record: None, **{names.stems[stem]: ingested for stem, ingested in taken.items()}}
    write_note(journal_dir, _note(staged, output_dir))
    try:
        _place(staged, output_dir, journal_dir)
        yield
    except BaseException:
        put_right(journal_dir, ours=True)
        raise
    with suppress(OSError):  # all of it stands: whoever finds the note will see that
        forget_note(journal_dir)


def _note(staged: Mapping[PurePosixPath, Ingested | None], output_dir: Path) -> Note:
    """Tell what is to be placed, after a look at what is there."""
    files = []
    looked_at: set[PurePosixPath] = set()
    for place, ingested in staged.items():
        final = output_dir / place
        if place.parent not in looked_at:
            looked_at.add(place.parent)
            _refuse_links_of_others(place, output_dir)
        if final.is_dir() and not final.is_symlink():
            raise explain(IsADirectoryError(errno.EISDIR, "a folder"), final)
        sha256 = ingested.sha256 if ingested is not None else None
        files.append(PlacedFile(path=str(place), sha256=sha256, replaces=os.path.lexists(final)))
    return Note(record_was=digest_at(output_dir / files[0].path), files=tuple(files))


def _refuse_links_of_others(place: PurePosixPath, output_dir: Path) -> None:
    """Refuse to go through a link that another user made: it could lead wherever this user may write."""
    link = link_of_another(output_dir, place)
    if link is not None:
        raise UsageError(
            f"cannot write {output_dir / place}: {link} is a link that another user made",
            hint="remove it, or choose a folder that nobody else writes",
            code="not_writable",
        )


def _place(staged: Mapping[PurePosixPath, Ingested | None], output_dir: Path, folder: Path) -> None:
    for number, (place, ingested) in enumerate(staged.items()):
        final = output_dir / place
        ensure_dir(final.parent)
        if os.path.lexists(final):
            _put_aside(final, aside(folder, number))
        if ingested is not None:
            publish(ingested.path, final)


def _put_aside(final: Path, before: Path) -> None:
    ensure_dir(before.parent)
    with explained(final):
        try:
            final.rename(before)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            publish(final, before)
