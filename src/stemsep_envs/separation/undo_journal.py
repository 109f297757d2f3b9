"""The note of files that are being put in place, and undoing what it tells.

It is written before the first file moves and goes when the track's record stands. Where it is found after that, the
record was never written: by a block that failed, or by a process that was killed.

    OUT/.stemsep-env-<pid>-<random>/     a folder of `scratch`, held while its process lives
        placing.json                     the note
        aside/<number>                   what was there in the place of the number-th file
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Annotated

from stemsep_envs.documents.base import Document, parse_json
from stemsep_envs.documents.canonical import Sha256
from stemsep_envs.documents.fields import AfterValidator, Field
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host.atomic_write import publish, write_private
from stemsep_envs.host.file_reading import open_plain, sha256_of
from stemsep_envs.host.tree_removal import remove_file, remove_tree

_log = logging.getLogger(__name__)

_NOTE = "placing.json"
_ASIDE = "aside"
_MOST_NOTE_BYTES = 4 << 20


def _inner_path(text: str) -> str:
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text:
        raise ValueError("must be a path below the output folder")
    return text


class PlacedFile(Document):
    """A file: where it goes below the output folder, what it holds, and whether it takes the place of another.

    ``sha256`` is None for the record, of which nobody knows yet what it will hold.
    """

    path: Annotated[str, AfterValidator(_inner_path)]
    sha256: Sha256 | None = None
    replaces: bool


class Note(Document):
    """What is being placed: the record first. ``record_was`` is the digest of the one that was there."""

    record_was: Sha256 | None
    files: tuple[PlacedFile, ...] = Field(min_length=1)


def write_note(folder: Path, note: Note) -> None:
    """Write the note: from here on `put_right` undoes what it tells. It outlives this process, as the stems do."""
    write_private(folder / _NOTE, note.model_dump_json(indent=1).encode() + b"\n")


def forget_note(folder: Path) -> None:
    """Take the note back, and with it what was put aside: all of it stands, with its record."""
    remove_file(folder / _NOTE)
    if (folder / _ASIDE).exists():
        remove_tree(folder / _ASIDE)


def is_clean(folder: Path) -> bool:
    """Say whether a folder is there and holds nothing of an earlier note."""
    return folder.is_dir() and not has_note(folder) and not os.path.lexists(folder / _ASIDE)


def has_note(folder: Path) -> bool:
    """Say whether something of this folder's is to be put right."""
    return os.path.lexists(folder / _NOTE)


def aside(folder: Path, number: int) -> Path:
    """Return where the file is put that stood in the place of the number-th."""
    return folder / _ASIDE / str(number)


def digest_at(path: Path) -> str | None:
    """Return the digest of a plain file; None where there is none."""
    with suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode):
            return sha256_of(path)[0]
    return None


def put_right(folder: Path, *, ours: bool) -> bool:
    """Undo what a folder's note tells, unless its record stands; say whether there is nothing (more) to undo.

    Files that were placed go if they are what was placed, and what was put aside comes back. What cannot be undone is
    logged, and stays in the folder.

    Args:
        folder: The folder of the note, in the output folder.
        ours: Whether this process wrote the note. If not it may be a stranger's, who has other plans: one that does not
            belong to this user is left alone, and no link of another user is followed.
    """
    if not has_note(folder):
        return True
    if not ours and not _is_of_this_user(folder):
        return False
    try:
        note = _read_note(folder)
        if not ours:
            _refuse_links_of_others(folder, note)
        if digest_at(folder.parent / note.files[0].path) in {None, note.record_was}:
            for number, file in enumerate(note.files):
                _undo(folder.parent / file.path, file, aside(folder, number))
        forget_note(folder)
    except (OSError, StemsepEnvError) as problem:
        why = problem.message if isinstance(problem, StemsepEnvError) else problem.strerror or problem
        _log.warning("stems that were there before are kept in %s, and cannot be put back: %s", folder, why)
        return False
    return True


def _undo(final: Path, file: PlacedFile, before: Path) -> None:
    is_ours = file.sha256 is not None and digest_at(final) == file.sha256
    if os.path.lexists(before):
        if is_ours or not os.path.lexists(final):  # else somebody else put something there since
            publish(before, final)
    elif is_ours and not file.replaces:
        remove_file(final)


def _is_of_this_user(folder: Path) -> bool:
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and (not hasattr(os, "geteuid") or facts.st_uid == os.geteuid())


def _read_note(folder: Path) -> Note:
    """Read the note as what it may be: a pipe, a link, or endless."""
    path = folder / _NOTE
    if not stat.S_ISREG(path.lstat().st_mode):
        raise StemsepEnvError("their note is no plain file")
    with open_plain(path) as stream:
        text = stream.read(_MOST_NOTE_BYTES)
    return parse_json(text, Note, origin=str(path))


def _refuse_links_of_others(folder: Path, note: Note) -> None:
    for file in note.files:
        link = link_of_another(folder.parent, PurePosixPath(file.path))
        if link is not None:
            raise StemsepEnvError(f"{link} is a link that another user made")


def link_of_another(output_dir: Path, place: PurePosixPath) -> Path | None:
    """Return the first link on the way from the output folder to a file that neither this user nor root made.

    The output folder itself is the user's word. Whoever may write in it could still make a link in time; but then
    nothing there is ours.
    """
    for inner in reversed(place.parents[:-1]):
        folder = output_dir / inner
        if folder.is_symlink() and hasattr(os, "geteuid") and folder.lstat().st_uid not in {0, os.geteuid()}:
            return folder
    return None
