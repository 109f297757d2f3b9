"""Git's objects: reading the tree of a commit, each object checked against the name it was asked for by. Pure.

A commit names its tree by hash and a tree its files, so a tree that is read this way is the commit's, whatever server,
mirror or cache gave the bytes. No checkout takes place: no hook, filter, attribute or line-end setting has a say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["commit", "tree", "blob"]
Read = Callable[[Kind, Sequence[str]], Mapping[str, bytes]]
"""Returns the content of objects of a kind by their names, already checked with `object_id`."""

_TREE_LINE = re.compile(rb"tree ([0-9a-f]{40})\n")
_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0]+)\0(.{20})", re.DOTALL)
_MAX_DEPTH = 100

_FOLDER, _LINK, _COMMIT = 0o040000, 0o120000, 0o160000
_TYPE_BITS, _EXECUTE_BIT = 0o170000, 0o100


class DamagedError(Exception):
    """An object is missing, or is not what its name says; the message says which."""


class TooLargeError(Exception):
    """The tree is larger than is accepted; the message says by which measure."""


@dataclass(frozen=True)
class TreeEntry:
    """A file of a commit's tree. ``kind`` ``submodule`` has no content here; a name that is no UTF-8 is escaped."""

    path: str
    kind: Literal["file", "link", "submodule"]
    executable: bool
    blob: str


def object_id(kind: str, content: bytes) -> str:
    """Return the name that git gives an object."""
    return hashlib.sha1(b"%s %d\0%s" % (kind.encode(), len(content), content), usedforsecurity=False).hexdigest()


def tree_of(commit: str, read: Read, *, max_entries: int) -> tuple[TreeEntry, ...]:
    """Return every file of a commit's tree, by path.

    Args:
        commit: Its name.
        read: Gives objects.
        max_entries: How many files and folders are accepted: a few objects can name each other to a tree without end.

    Raises:
        DamagedError: An object is missing or malformed.
        TooLargeError: The tree has too many entries, or is too deep.
    """
    head = _TREE_LINE.match(read("commit", [commit])[commit])
    if head is None:
        raise DamagedError(f"commit {commit} names no tree")
    files: list[TreeEntry] = []
    folders = [("", head[1].decode())]
    seen = 0
    for _ in range(_MAX_DEPTH):
        content = read("tree", sorted({name for _, name in folders}))
        below: list[tuple[str, str]] = []
        for prefix, name in folders:
            entries = _entries(name, content[name])
            seen += len(entries)
            if seen > max_entries:
                raise TooLargeError(f"it has more than {max_entries} files and folders")
            for mode, raw, target in entries:
                path = prefix + raw.decode("utf-8", "surrogateescape")
                if mode & _TYPE_BITS == _FOLDER:
                    below.append((path + "/", target))
                else:
                    files.append(_file(path, mode, target))
        if not below:
            return tuple(sorted(files, key=lambda entry: entry.path))
        folders = below
    raise TooLargeError(f"its folders lie more than {_MAX_DEPTH} deep")


def _entries(tree: str, content: bytes) -> list[tuple[int, bytes, str]]:
    entries, at = [], 0
    while at < len(content):
        match = _ENTRY.match(content, at)
        if match is None:
            raise DamagedError(f"tree {tree} is malformed")
        if b"/" in match[2]:
            raise DamagedError(f"tree {tree} has a name with a slash")
        entries.append((int(match[1], 8), match[2], match[3].hex()))
        at = match.end()
    return entries


def _file(path: str, mode: int, blob: str) -> TreeEntry:
    kinds: dict[int, Literal["link", "submodule"]] = {_LINK: "link", _COMMIT: "submodule"}
    return TreeEntry(path, kinds.get(mode & _TYPE_BITS, "file"), bool(mode & _EXECUTE_BIT), blob)
