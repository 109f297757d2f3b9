"""What the files of a folder are: listed with their facts, and hashed on all processors."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_BATCH_BYTES = 8 << 20
_BATCH_FILES = 256
_MOST_THREADS = 8
_ALGORITHM = "sha256"


@dataclass(frozen=True)
class Listed:
    """A folder's entries by their path below it, with slashes: all that are no folders."""

    root: Path
    entries: Mapping[str, os.stat_result]

    def files(self) -> Iterator[str]:
        """Yield the paths of regular files."""
        return (path for path, facts in self.entries.items() if stat.S_ISREG(facts.st_mode))


@dataclass(frozen=True)
class Hashed:
    """The SHA-256 of a file in hexadecimal, and what tells whether it was written to since."""

    sha256: str
    stamp: tuple[int, ...]


def list_files(root: Path) -> Listed:
    """List a folder, without following links. What vanishes meanwhile is left out.

    Raises:
        OSError: A folder in it cannot be read.
    """
    entries: dict[str, os.stat_result] = {}
    pending = [("", str(root))]
    while pending:
        prefix, folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    path = f"{prefix}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((f"{path}/", entry.path))
                        continue
                    try:
                        entries[path] = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
        except FileNotFoundError:
            continue
    return Listed(root, entries)


def stamp_of(facts: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is written to or replaced; its time of change cannot be set, as others can."""
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def hash_files(
    listed: Listed, paths: Iterable[str], *, on_bytes: Callable[[int], None] | None = None
) -> dict[str, Hashed | OSError]:
    """Hash files of a folder, on all processors.

    Args:
        listed: The folder.
        paths: Which of its regular files.
        on_bytes: Told of each part that is done, from other threads.

    Returns:
        The hash of each, or why it cannot be read.
    """
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="hash") as threads:
        done = threads.map(lambda batch: _hash_batch(listed, batch, on_bytes), _batches(listed, paths))
        return {path: hashed for part in done for path, hashed in part}


def hash_file(path: Path, algorithm: str = _ALGORITHM) -> str:
    """Return the hash of a file in hexadecimal; raises `OSError`."""
    return _hash(str(path), algorithm)


def _batches(listed: Listed, paths: Iterable[str]) -> list[list[str]]:
    """Return the work in parts that are worth a thread's while, the largest files first."""
    sizes = {path: listed.entries[path].st_size for path in paths}
    batches: list[list[str]] = []
    batch: list[str] = []
    total = 0
    for path in sorted(sizes, key=sizes.__getitem__, reverse=True):
        batch.append(path)
        total += sizes[path]
        if total >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            batches.append(batch)
            batch, total = [], 0
    return [*batches, batch] if batch else batches


def _hash_batch(
    listed: Listed, batch: list[str], on_bytes: Callable[[int], None] | None
) -> list[tuple[str, Hashed | OSError]]:
    root, entries = str(listed.root), listed.entries
    hashed: list[tuple[str, Hashed | OSError]] = []
    for path in batch:
        try:
            hashed.append((path, Hashed(_hash(f"{root}/{path}", _ALGORITHM), stamp_of(entries[path]))))
        except OSError as error:
            hashed.append((path, error))
    if on_bytes is not None:
        on_bytes(sum(entries[path].st_size for path in batch))
    return hashed


def _hash(path: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=True)
    # Not through a link that took the file's place after it was listed; a FIFO in its place does not keep us waiting.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        while block := os.read(descriptor, _BLOCK_BYTES):
            digest.update(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest()
