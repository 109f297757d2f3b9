"""The names of a tree as every file system would see them, and where its links lead. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from stemsep_envs.documents.engine import EngineFile
from stemsep_envs.documents.safe_paths import collision_key

Kind = Literal["folder", "file", "link"]
_WORDS: Mapping[Kind, str] = {"folder": "a folder", "file": "a file", "link": "a symbolic link"}
_MOST_HOPS = 40


@dataclass
class Names:
    """Every name that is taken, with all folders above it, by what makes two names one on some file system."""

    _taken: dict[str, tuple[str, Kind]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[EngineFile]) -> Names:
        """Return the names of a tree that is known to be without clashes."""
        names = cls()
        for file in files:
            names.claim(file.path, "file" if file.link is None else "link")
        return names

    def claim(self, path: str, kind: Kind = "file") -> str | None:
        """Take a name, and those of the folders above it; or say in words why it cannot be, and take none.

        Args:
            path: A path that `path_problem` accepts.
            kind: What shall be there.
        """
        wanted: list[tuple[str, Kind]] = [*((folder, "folder") for folder in _folders_above(path)), (path, kind)]
        for name, own_kind in wanted:
            there = self._taken.get(collision_key(name))
            if there is None or (there == (name, "folder") and own_kind == "folder"):
                continue
            other, other_kind = there
            if other != name:
                return f"{name!r} and {other!r}, which is there, are one on file systems that ignore case or form"
            if own_kind == "folder":
                return f"{name!r} is {_WORDS[other_kind]}, not a folder"
            return f"{_WORDS[other_kind]} of this name is there already"
        self._taken.update((collision_key(name), (name, own_kind)) for name, own_kind in wanted)
        return None

    def why_missing(self, path: str) -> str:
        """Say why a path that is no file of the tree is none, with what comes near."""
        for name in (*_folders_above(path), path):
            there = self._taken.get(collision_key(name))
            if there is not None and there[0] != name:
                return f"there is no such file; {there[0]!r} is there and is written differently"
            if there is not None and name != path and there[1] != "folder":
                return f"{name!r} is {_WORDS[there[1]]}, not a folder"
            if there is not None and name == path:
                return f"it is {_WORDS[there[1]]}, not a file"
        return "there is no such file"


def link_problem(path: str, files: Mapping[str, EngineFile]) -> str | None:
    """Say in words why the link at ``path`` may not be in the tree, or None when it leads to a place inside.

    The way is gone as the system would go it, through other links too. A link to nothing is harmless.
    """
    at = path.split("/")[:-1]
    ahead = _steps(files[path].link or "")
    hops = 0
    if ahead is None:
        return f"leads out of the tree, to {files[path].link!r}"
    while ahead:
        part = ahead.pop()
        if part == "..":
            if not at:
                return f"leads out of the tree, to {files[path].link!r}"
            at.pop()
            continue
        at.append(part)
        there = files.get("/".join(at))
        if there is None or there.link is None:
            continue
        hops += 1
        further = _steps(there.link)
        if further is None or hops > _MOST_HOPS:
            return f"leads {'in a circle' if further else 'out of the tree'}, through {there.path!r}"
        at.pop()
        ahead += further
    return None


def _steps(target: str) -> list[str] | None:
    """Return the parts of where a link leads, the last first; None when it is absolute or is no path everywhere."""
    if not target or target.startswith("/") or "\\" in target or ":" in target or "\0" in target:
        return None
    return [part for part in reversed(target.split("/")) if part not in {"", "."}]


def _folders_above(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))
