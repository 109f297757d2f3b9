"""What folders take on the disk when they share files: every inode counted once, whoever has a name for it.

A file's bytes come back when its last name goes. Names outside of what was surveyed are known by the link count alone.
What clones (copy on write) share is not told by any count: they are taken at their whole size.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 512
"""What ``st_blocks`` counts in, on every file system."""

Key = tuple[int, int]


@dataclass
class Inode:
    """A file or folder: what it takes, how many names it has anywhere, and how many under each owner."""

    bytes: int
    links: int
    names: Counter[str]

    def is_only_of(self, owners: Collection[str]) -> bool:
        """Say whether all its names are under these owners, and none anywhere else."""
        return sum(self.names.values()) >= self.links and all(owner in owners for owner in self.names)


@dataclass(frozen=True)
class Survey:
    """The inodes of several owners' folders."""

    inodes: Mapping[Key, Inode]

    def size(self, *owners: str) -> int:
        """Return what owners take together."""
        return sum(inode.bytes for inode in self.inodes.values() if any(owner in inode.names for owner in owners))

    def shared(self, owner: str) -> int:
        """Return how much of what an owner takes has other names too."""
        return sum(
            inode.bytes for inode in self.inodes.values() if owner in inode.names and not inode.is_only_of((owner,))
        )

    def freeable(self, owners: Collection[str]) -> int:
        """Return what would come back if all that these owners have went."""
        return sum(inode.bytes for inode in self.inodes.values() if inode.is_only_of(owners))

    def total(self) -> int:
        """Return what all owners take together."""
        return sum(inode.bytes for inode in self.inodes.values())


def survey(folders: Mapping[str, Collection[Path]]) -> Survey:
    """Look at the folders of each owner, without following links. What vanishes or cannot be read is left out."""
    inodes: dict[Key, Inode] = {}
    for owner, places in folders.items():
        for place in places:
            for facts, is_dir in _facts_below(place):
                key = (facts.st_dev, facts.st_ino)
                inode = inodes.get(key)
                if inode is None:
                    links = 1 if is_dir else facts.st_nlink
                    inodes[key] = inode = Inode(_bytes_of(facts), links, Counter())
                inode.names[owner] += 1
    return Survey(inodes)


def freed_between(before: Survey, after: Survey) -> int:
    """Return the bytes that came back: of inodes that are gone and had no name outside of what was surveyed."""
    return sum(
        inode.bytes
        for key, inode in before.inodes.items()
        if key not in after.inodes and sum(inode.names.values()) >= inode.links
    )


def _bytes_of(facts: os.stat_result) -> int:
    blocks = getattr(facts, "st_blocks", None)
    return facts.st_size if blocks is None else int(blocks) * _BLOCK_BYTES


def _facts_below(place: Path) -> Iterator[tuple[os.stat_result, bool]]:
    try:
        yield place.lstat(), place.is_dir()
    except OSError:
        return
    pending = [str(place)] if place.is_dir() and not place.is_symlink() else []
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    try:
                        is_dir = entry.is_dir(follow_symlinks=False)
                        yield entry.stat(follow_symlinks=False), is_dir
                    except FileNotFoundError:
                        continue
                    if is_dir:
                        pending.append(entry.path)
        except OSError:
            continue
