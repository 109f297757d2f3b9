"""Writing a tree: the one door through which members of any source come onto the disk, and the lock behind it.

Every name is looked at before anything of it is written, and links are made only when all else is there, so that
nothing can be written through one.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine import EngineFile
from stemsep_envs.documents.safe_paths import path_problem, portability_problem
from stemsep_envs.environments.engines.git_objects import TooLargeError
from stemsep_envs.environments.engines.members import Caps, Member, Refused, is_lfs_pointer
from stemsep_envs.environments.engines.names import Names, link_problem
from stemsep_envs.errors import BuildError
from stemsep_envs.host.atomic_write import copy_hashed
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.write_errors import explained

_MOST_SHOWN = 20
_READ_ONLY = 0o444
_READ_ONLY_PROGRAM = 0o555


@dataclass
class Tree:
    """A tree being made.

    Attributes:
        root: Its folder.
        files: What is in it, by path.
        pointers: Of these, files that only stand for one that Git LFS keeps.
        refused: What could not be taken, and why.
    """

    root: Path
    files: dict[str, EngineFile] = field(default_factory=dict)
    pointers: set[str] = field(default_factory=set)
    refused: list[Refused] = field(default_factory=list)

    def read(self, path: str) -> bytes:
        """Return the content of one of its files."""
        return (self.root / path).read_bytes()


def write_members(members: Iterable[Member | Refused], root: Path, *, caps: Caps) -> Tree:
    """Write what a source yields into a new folder. What cannot be taken is noted, not raised.

    Raises:
        TooLargeError: It is more than the caps.
        LimitError: The disk is full.
        UsageError: The folder cannot be written.
    """
    ensure_dir(root)
    tree, names = Tree(root), Names()
    for member in members:
        refusal = member if isinstance(member, Refused) else _refusal(member, names)
        if refusal is not None:
            tree.refused.append(refusal)
        elif isinstance(member, Member):
            if len(tree.files) >= caps.files:
                raise TooLargeError(f"it has more than {caps.files} files")
            _write(tree, member)
    return tree


def write_changes(tree: Tree, changes: Mapping[str, bytes]) -> None:
    """Write the content of files that patches change or add; a file that is changed stays executable if it was."""
    for path, content in changes.items():
        before = tree.files.get(path)
        _write(tree, Member(path, content, executable=before is not None and before.executable))


def seal(tree: Tree, *, title: str) -> tuple[EngineFile, ...]:
    """Refuse what no engine may hold, make the links, take all write permissions away; return the files by path.

    Raises:
        BuildError: Something was refused; everything is listed.
    """
    refused = list(tree.refused)
    for path, file in tree.files.items():
        if path in tree.pointers:
            refused.append(Refused(path, "stands for a file that Git LFS keeps, which is not part of the source"))
        problem = link_problem(path, tree.files) if file.link is not None else None
        if problem is not None:
            refused.append(Refused(path, problem))
    if refused:
        raise BuildError(_listed(refused, title), hint=_hint(tree), code="engine_refused")
    for path, file in tree.files.items():
        if file.link is not None:
            ensure_dir((tree.root / path).parent)
            with explained(tree.root / path):
                (tree.root / path).symlink_to(file.link)
    _make_read_only(tree)
    return tuple(sorted(tree.files.values(), key=lambda file: file.path))


def _make_read_only(tree: Tree) -> None:
    """Take write permissions from files and folders, the deepest first; anybody may read."""
    for folder, _, names in os.walk(tree.root, topdown=False):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                program = tree.files[path.relative_to(tree.root).as_posix()].executable
                path.chmod(_READ_ONLY_PROGRAM if program else _READ_ONLY)
        Path(folder).chmod(_READ_ONLY_PROGRAM)


def _refusal(member: Member, names: Names) -> Refused | None:
    problem = path_problem(member.path)
    if problem is None and sys.platform == "win32":
        problem = portability_problem(member.path) or ("is a symbolic link" if member.is_link else None)
    if problem is None and member.is_link:
        try:
            member.content.decode()
        except UnicodeDecodeError:
            problem = "is a symbolic link to what is not Unicode"
    problem = problem or names.claim(member.path, "link" if member.is_link else "file")
    return Refused(member.path, problem) if problem else None


def _write(tree: Tree, member: Member) -> None:
    """Take a member whose name was looked at; a link is only noted."""
    tree.pointers.discard(member.path)
    if member.is_link:
        sha256, size = digest_of_bytes(member.content), len(member.content)
    else:
        stream = io.BytesIO(member.content)
        sha256, size = copy_hashed(stream, tree.root / member.path, max_bytes=len(member.content))
        if is_lfs_pointer(member.content):
            tree.pointers.add(member.path)
    tree.files[member.path] = EngineFile(
        path=member.path,
        sha256=sha256,
        size_bytes=size,
        executable=member.executable and not member.is_link,
        link=member.content.decode() if member.is_link else None,
    )


def _listed(refused: list[Refused], title: str) -> str:
    shown = [f"  {ascii(one.path)[1:-1]}: {one.why}" for one in sorted(refused, key=lambda one: one.path)]
    if len(shown) > _MOST_SHOWN:
        shown = [*shown[:_MOST_SHOWN], f"  and {len(shown) - _MOST_SHOWN} more"]
    return "\n".join([f"the source of {title} holds what an engine may not:", *shown])


def _hint(tree: Tree) -> str:
    if tree.pointers and not tree.refused:
        return "let a patch of the kind replace bring the file itself, or choose a source that has it"
    return "choose another commit, or an archive that was made without these"
