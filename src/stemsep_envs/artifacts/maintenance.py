"""Looking after the files that are here: reading them all again, and freeing what nobody needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemsep_envs.artifacts import blobs, converted
from stemsep_envs.artifacts.fetching import held, lock_name
from stemsep_envs.artifacts.uses import removing
from stemsep_envs.errors import LimitError, MismatchError
from stemsep_envs.host import digest_store, locks
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file
from stemsep_envs.host.write_errors import explained

_KEY_CHARACTERS = 32
_COPY_SECONDS = 3600.0
_KEPT_SECONDS = 7 * 86400.0
"""How long a download that was begun is kept for whoever asks for it again."""


@dataclass(frozen=True)
class Checked:
    """A file that was compared with its hash. ``set_aside`` is where it lies now if it was damaged."""

    sha256: str
    size_bytes: int
    ok: bool
    detail: str
    set_aside: Path | None = None
    kind: Literal["artifact", "converted"] = "artifact"


@dataclass(frozen=True)
class Freed:
    """Something that was removed, or would be."""

    kind: str
    name: str
    size_bytes: int
    why: str


def verify_blob(home: Home, sha256: str, *, check: Callable[[], None]) -> Checked:
    """Read a file whole and compare it with its hash; one that is damaged is set aside.

    Raises:
        UsageError: A damaged file cannot be moved.
    """
    path = blobs.blob_path(home, sha256)
    with held(home, lock_name(sha256), check=check):
        try:
            actual, size = sha256_of(path, check=check)
        except FileNotFoundError:
            return Checked(sha256, 0, ok=False, detail="it is gone")
        except OSError as error:
            return Checked(sha256, 0, ok=False, detail=f"it cannot be read: {error.strerror}")
        if actual == sha256:
            blobs.remember(home, sha256)
            return Checked(sha256, size, ok=True, detail="whole")
        aside = blobs.set_aside(home, sha256)
    return Checked(sha256, size, ok=False, detail=f"its bytes have sha256 {actual}", set_aside=aside)


def verify_converted_form(home: Home, sha256: str) -> Checked | None:
    """Read the converted form of a checkpoint and compare it with what was made; one that is damaged is removed.

    Returns:
        What was found; None when there is none.

    Raises:
        UsageError: A damaged one cannot be removed.
    """
    store, name = converted.store_of(home), converted.entry_name(sha256)
    folder = digest_store.entry_dir(store, name)
    if not folder.is_dir():
        return None
    with digest_store.hold(store, name):
        try:
            found = converted.verify_converted(home, sha256)
        except MismatchError:
            with explained(folder):
                digest_store.remove(store, name)
            detail = "damaged; removed, and made again when it is needed"
            return Checked(sha256, 0, ok=False, detail=detail, kind="converted")
    return Checked(sha256, found.report.output_bytes, ok=True, detail="whole", kind="converted")


def converted_bytes(home: Home) -> int:
    """Return what the converted forms of checkpoints take."""
    folder = converted.store_of(home).dir
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def unfinished(home: Home) -> list[Path]:
    """Return all files of downloads, and of copies, that were begun and not ended."""
    partial = home.artifacts_dir / "partial"
    return sorted(path for path in partial.iterdir() if path.is_file()) if partial.is_dir() else []


def free(
    home: Home, *, needed: Collection[str] | None, max_age_seconds: float | None, dry_run: bool
) -> Iterator[Freed]:
    """Remove files that no model needs, or that were not used for a time, and what the dead left; yield each.

    Args:
        home: The home.
        needed: Hashes of files that models ask for: all others go. None: none goes for that.
        max_age_seconds: Files that were not used for so long go, whoever needs them, and so do downloads that were not
            continued for so long. None: of files none goes for that, of downloads those of a week ago.
        dry_run: Only say what would go.

    Raises:
        UsageError: Something cannot be removed.
    """
    now = time.time()
    kept: set[str] = set()
    with removing(home) as used_now:
        live = used_now()
        for sha256 in blobs.stored_hashes(home):
            used_at = blobs.last_used_at(home, sha256) or 0.0
            unneeded = needed is not None and sha256 not in needed
            old = max_age_seconds is not None and now - used_at > max_age_seconds
            if sha256 in live or not (unneeded or old):
                kept.add(sha256)
                continue
            size = blobs.blob_path(home, sha256).lstat().st_size
            if not dry_run:
                try:
                    with locks.hold(home.holds_dir / lock_name(sha256), timeout_seconds=0):
                        blobs.remove_blob(home, sha256)
                except LimitError:  # someone is bringing it at this moment
                    kept.add(sha256)
                    continue
            yield Freed("artifact", sha256, size, "no model uses it" if unneeded else "not used recently")
        yield from _free_converted(home, kept | live, dry_run=dry_run)
    kept_seconds = _KEPT_SECONDS if max_age_seconds is None else min(_KEPT_SECONDS, max_age_seconds)
    yield from _free_unfinished(home, kept_seconds, dry_run=dry_run)
    damaged = home.artifacts_dir / "damaged"
    if damaged.is_dir():
        for path in sorted(damaged.iterdir()):
            yield from _removed(path, "damaged", "its content does not match its name", dry_run=dry_run)


def _free_converted(home: Home, kept: Collection[str], *, dry_run: bool) -> Iterator[Freed]:
    """Remove converted forms of checkpoints that are not kept, of older versions, and what was begun and not ended."""
    store = converted.store_of(home)
    for name in digest_store.names(store):
        sha256 = name.partition("-")[0]
        if sha256 in kept and name == converted.entry_name(sha256):
            continue
        size = _bytes_below(digest_store.entry_dir(store, name))
        if dry_run or digest_store.remove_if_idle(store, name, last_used_at=None) is None:
            why = "its checkpoint is not kept" if sha256 not in kept else "it was made by another version"
            yield Freed("converted", name, size, why)
    for path in digest_store.leftovers(store):
        size = _bytes_below(path)
        if dry_run or digest_store.clear_leftover(store, path):
            yield Freed("converted", path.name, size, "its conversion was interrupted")


def _bytes_below(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _free_unfinished(home: Home, kept_seconds: float, *, dry_run: bool) -> Iterator[Freed]:
    """Remove downloads that nobody continued for a time; what someone is bringing at this moment is locked."""
    for path in unfinished(home):
        key = path.name.partition(".")[0].removesuffix("-archive")
        is_copy = len(key) != _KEY_CHARACTERS  # which `add` makes, and no lock tells of
        kept_here = max(kept_seconds, _COPY_SECONDS) if is_copy else kept_seconds
        lock = home.holds_dir / lock_name(key)
        try:
            with locks.hold(lock, timeout_seconds=0):
                if path.is_file() and time.time() - path.stat().st_mtime >= kept_here:
                    yield from _removed(path, "unfinished", "the download was abandoned", dry_run=dry_run)
        except LimitError:
            continue


def _removed(path: Path, kind: str, why: str, *, dry_run: bool) -> Iterator[Freed]:
    size = path.lstat().st_size
    if not dry_run:
        with explained(path):
            if os.name == "nt":
                path.chmod(0o600)
            remove_file(path)
    yield Freed(kind, path.name, size, why)
