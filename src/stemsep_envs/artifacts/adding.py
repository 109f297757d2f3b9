"""Putting in files by hand: what machines without internet are seeded with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.artifacts import blobs, index
from stemsep_envs.artifacts.fetching import held, lock_name
from stemsep_envs.artifacts.model_files import Wanted, size_conflict, what_is_known
from stemsep_envs.documents.artifacts import IndexEntry, Trust
from stemsep_envs.errors import MismatchError, UsageError
from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.host.downloads import placeholder_kind
from stemsep_envs.host.file_reading import Readable, UnreadableError, open_plain
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file


@dataclass(frozen=True)
class Added:
    """A file that is here now. ``before`` is what its address stood for, where that was something else."""

    sha256: str
    size_bytes: int
    path: Path
    trust: Trust
    before: IndexEntry | None


def add_file(
    home: Home, source: Path, wanted: Wanted, *, replace: bool, on_block: Callable[[int], None] = lambda _: None
) -> Added:
    """Copy a file into the home, for the place that a model, or an address alone, has for it.

    Args:
        home: The home.
        source: The user's file.
        wanted: What it is to stand for, and what is known of that.
        replace: Whether it may take the place of another file that was there before; never of one the registry names.
        on_block: Called with the size of each block that is read; may raise to stop.

    Raises:
        UsageError: It cannot be read, or is no plain file.
        MismatchError: It is not the file that the registry names, or not the one that was there before.
        LimitError: No space.
    """
    staged = home.artifacts_dir / "partial" / f"added-{secrets.token_hex(8)}"
    try:
        sha256, size = _copied(source, staged, on_block)
        with held(home, lock_name(wanted.keys[0]), check=lambda: None):
            known = what_is_known(home, wanted)
            entry = known.entry
            if wanted.sha256 not in {None, sha256}:
                raise _not_the_one(source, wanted, sha256)
            conflict = size_conflict(wanted, sha256, size)
            if conflict is not None:
                raise MismatchError(conflict, hint="correct the registry's size", code="artifact_metadata_conflict")
            if wanted.sha256 is None and wanted.size_bytes not in {None, size}:
                raise _not_the_one(source, wanted, f"{sha256} and {size} bytes")
            differs = entry is not None and entry.sha256 != sha256
            if differs and entry is not None and wanted.sha256 is None and not replace:
                raise MismatchError(
                    f"{entry.url} stands for another file: sha256 {entry.sha256}, this one has {sha256}",
                    hint="--replace lets this one take its place from now on",
                    code="artifact_changed",
                )
            trust: Trust = "registry" if wanted.sha256 is not None else "added"
            blobs.store_blob(home, sha256, staged)
            made = index.entry_of(
                wanted.url, sha256, size, trust, source=str(source), filename=wanted.filename or source.name
            )
            index.record(home, wanted.keys[0], made)
    finally:
        remove_file(staged)
    return Added(sha256, size, blobs.blob_path(home, sha256), trust, entry if differs else None)


def _copied(source: Path, staged: Path, on_block: Callable[[int], None]) -> tuple[str, int]:
    try:
        stream = open_plain(source)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}", hint="name the file itself") from None
    with stream:
        facts, readable = os.fstat(stream.fileno()), Readable(stream)
        try:
            what = placeholder_kind(readable.read(512))
            if what is not None:
                words = f"{source} is {what}, not the file itself"
                raise UsageError(words, hint="download the file itself", code="not_the_file")
            if facts.st_size == 0:
                raise UsageError(f"{source} is empty", hint="download it again", code="not_the_file")
            stream.seek(0)
            return copy_hashed(readable, staged, max_bytes=facts.st_size, on_block=on_block)
        except UnreadableError as error:
            raise UsageError(f"cannot read {source}: {error}", hint="name a whole file on a disk that works") from None


def _not_the_one(source: Path, wanted: Wanted, found: str) -> MismatchError:
    wants = f"sha256 {wanted.sha256}" if wanted.sha256 else f"{wanted.size_bytes} bytes"
    return MismatchError(
        f"{source} is not the {wanted.filename} of {wanted.model_id}: expected {wants}, it has {found}",
        hint="nothing was added; download it again",
        code="artifact_mismatch",
    )
