"""Relative paths that mean the same place, inside the folder they are relative to, on every file system.

Two questions: does a path stay inside (`path_problem`), and would two paths be one file somewhere (`collision_key`)?
The answers are deliberately the strictest of all systems, so that a tree that passes on one passes on each. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated

from stemsep_envs.documents.fields import AfterValidator

_MAX_PATH_BYTES = 1024
_MAX_NAME_BYTES = 255

# Apple's file systems leave these out when they compare names: ".g<U+200C>it" is ".git" there.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
# What Windows calls ".git" in eight characters; a repository that holds such a name was made to deceive.
_SHORT_GIT = re.compile(r"git~[0-9]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)(\.|$)")
_NOT_ON_WINDOWS = re.compile(r'[<>"|?*]')


def path_problem(path: str) -> str | None:
    """Say in words why ``path`` may not be used inside a tree, or None when it may.

    Refused are absolute paths and drives, ``..`` and ``.``, empty parts, backslashes, control characters, what is not
    Unicode, names that Windows shortens to others (``a.``, ``a ``, ``a:stream``), and ``.git`` in every spelling that
    some file system takes for it.
    """
    return next(_path_problems(path), None)


def _path_problems(path: str) -> Iterator[str]:
    if not path:
        yield "must not be empty"
    if path.startswith("/"):
        yield "must be relative"
    if "\\" in path:
        yield "must not hold a backslash; parts are joined by /"
    kinds = {unicodedata.category(character) for character in path}
    if "Cs" in kinds:
        yield "is not Unicode"
    if "Cc" in kinds:
        yield "must not hold control characters"
    if len(path.encode()) > _MAX_PATH_BYTES:
        yield f"must be at most {_MAX_PATH_BYTES} bytes long"
    for part in path.split("/"):
        yield from _name_problems(part)


def portability_problem(path: str) -> str | None:
    """Say in words why Windows could not hold a path that `path_problem` accepts, or None when it could."""
    for part in path.split("/"):
        if _DEVICES.match(part.casefold()):
            return f"must not hold {part!r}, which is a device on Windows"
        if _NOT_ON_WINDOWS.search(part):
            return f"must not hold {part!r}, which is no name on Windows"
    return None


def collision_key(path: str) -> str:
    """Return what two paths share when some file system takes them for one: case, Unicode form, ignored characters."""
    return unicodedata.normalize("NFC", _IGNORED.sub("", unicodedata.normalize("NFC", path).casefold()))


def _name_problems(name: str) -> Iterator[str]:
    if not name:
        yield "must not have an empty part"
    if name in {".", ".."}:
        yield f"must not have the part {name!r}"
    if ":" in name:
        yield "must not hold a colon"
    if name.endswith((".", " ")):
        yield f"must not have the part {name!r}: Windows leaves off its end"
    if len(name.encode()) > _MAX_NAME_BYTES:
        yield f"must not have a part of more than {_MAX_NAME_BYTES} bytes"
    plain = collision_key(name)
    if plain == ".git" or _SHORT_GIT.fullmatch(plain):
        yield f"must not have the part {name!r}, which is git's own"


def _relative_path(path: str) -> str:
    problem = path_problem(path) or portability_problem(path)
    if problem is not None:
        raise ValueError(problem)
    return path


def _folder_path(path: str) -> str:
    return path if path == "." else _relative_path(path)


RelativePath = Annotated[str, AfterValidator(_relative_path)]
"""A path of a file inside a tree, in POSIX spelling, that is safe and possible on every system."""

FolderPath = Annotated[str, AfterValidator(_folder_path)]
"""Likewise of a folder; ``.`` is the tree itself."""
