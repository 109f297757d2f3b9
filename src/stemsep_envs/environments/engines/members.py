"""What a source yields: the files of a tree one after the other, and what of it cannot be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_POINTER_BEGINNINGS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_POINTER_MAX_BYTES = 1024


@dataclass(frozen=True)
class Member:
    """A file, or a symbolic link whose content is where it leads. The path is as the source has it, unchecked."""

    path: str
    content: bytes
    executable: bool = False
    is_link: bool = False


@dataclass(frozen=True)
class Refused:
    """Something that no tree may hold, and why in words."""

    path: str
    why: str


Members = Iterator[Member | Refused]


@dataclass(frozen=True)
class Caps:
    """How large a tree may be. Engines are source code: what is larger is a mistake, or an attack on the disk."""

    files: int = 50_000
    file_bytes: int = 256 << 20
    bytes: int = 1 << 30


def is_lfs_pointer(content: bytes) -> bool:
    """Say whether a file only stands for one that Git LFS keeps elsewhere."""
    return len(content) < _POINTER_MAX_BYTES and content.startswith(_POINTER_BEGINNINGS)
