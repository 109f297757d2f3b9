"""Commits in the home's cache: fetched once, alone and whole, and read as the members of a tree.

    cache/engines/<commit>.git      a bare repository that holds one commit without its history
    cache/engines/.fetching-...      being fetched, by whoever holds the commit's lock; otherwise left by the dead

A repository's address has no part in the name: the commit's hash says what it holds. It may be deleted at any time.
"""

from __future__ import annotations

import os
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stemsep_envs.environments.engines.git import call_git, git_command
from stemsep_envs.environments.engines.git_objects import (
    DamagedError,
    Kind,
    TooLargeError,
    TreeEntry,
    object_id,
    tree_of,
)
from stemsep_envs.environments.engines.members import Caps, Member, Members, Refused
from stemsep_envs.errors import LimitError
from stemsep_envs.host.atomic_write import publish
from stemsep_envs.host.child_process import start
from stemsep_envs.host.exit_cause import describe_exit
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree

_FETCHING = ".fetching-"
_READ_SECONDS = 600.0
_GROUP_BYTES = 32 << 20
"""Objects are read in groups of about this size, so that memory does not grow with the tree."""


def commit_path(home: Home, commit: str) -> Path:
    """Return the bare repository of a commit, whether it is there or not."""
    return home.cache_dir / "engines" / f"{commit}.git"


def hold_path(home: Home, commit: str) -> Path:
    """Return the file that the lock of a commit is taken on: to fetch it, read it or remove it."""
    return home.holds_dir / f"commit-{commit[:16]}"


def fetch_commit(repository: str, commit: str, *, into: Path, offline: bool) -> None:
    """Fetch one commit, without its history, into a bare repository that appears whole or not at all.

    The caller holds the lock of the commit.

    Args:
        repository: Its address, before git's configuration rewrites it.
        commit: Its name.
        into: The bare repository; its folder is made.
        offline: Accept only what lies on this machine.

    Raises:
        BuildError: git could not; its own words and commands to repeat it are carried.
        LimitError: It took too long, or the disk is full.
    """
    ensure_dir(into.parent)
    _clear_leftovers(into.parent, commit)
    staging = into.parent / f"{_FETCHING}{commit}-{secrets.token_hex(4)}"
    try:
        # A hook template of the user's would come along, and a default of theirs could choose another object format.
        make = ["init", "--quiet", "--bare", "--template=", "--object-format=sha1"]
        get = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-auto-gc"]
        refspec = f"+{commit}:refs/heads/engine"
        call_git([*make, str(staging)], offline=offline, what=f"making room for commit {commit}")
        call_git(
            ["--git-dir", str(staging), *get, "--no-write-fetch-head", "--", repository, refspec],
            offline=offline,
            what=f"fetching commit {commit} of {repository}",
            repeat=[[*make, "repeated.git"], ["--git-dir", "repeated.git", *get, "--", repository, refspec]],
        )
        publish(staging, into)
    finally:
        remove_tree(staging)


def commit_members(repository: Path, commit: str, *, caps: Caps) -> Members:
    """Yield the files of a commit's tree, every one proven to be the commit's.

    Raises:
        DamagedError: The repository lacks an object, or holds a wrong one.
        TooLargeError: The tree is larger than the caps.
    """

    def read(kind: Kind, names: Sequence[str]) -> Mapping[str, bytes]:
        groups = _read_objects(repository, kind, names, caps=caps)
        return {name: content for group in groups for name, content in group.items()}

    by_blob: defaultdict[str, list[TreeEntry]] = defaultdict(list)
    for entry in tree_of(commit, read, max_entries=2 * caps.files):
        if entry.kind == "submodule":
            yield Refused(entry.path, "is a submodule: another repository, which is not part of this commit")
        else:
            by_blob[entry.blob].append(entry)
    for group in _read_objects(repository, "blob", list(by_blob), caps=caps):
        for blob, content in group.items():
            for entry in by_blob[blob]:
                yield Member(entry.path, content, entry.executable, entry.kind == "link")


def _read_objects(repository: Path, kind: Kind, names: Sequence[str], *, caps: Caps) -> Iterator[dict[str, bytes]]:
    """Yield objects by their names in groups, each checked against its name.

    Args:
        repository: A bare repository.
        kind: What they must be.
        names: Each once.
        caps: What a single object and all together may take.

    Raises:
        DamagedError: An object is missing, or is not what its name says.
        TooLargeError: They are larger than the caps.
    """
    group: list[str] = []
    group_bytes = spent = 0
    for name, size in _sizes(repository, kind, names).items():
        spent += size
        if size > caps.file_bytes or spent > caps.bytes:
            raise TooLargeError(_too_large(size, caps))
        if group and group_bytes + size > _GROUP_BYTES:
            yield _contents(repository, kind, group)
            group, group_bytes = [], 0
        group.append(name)
        group_bytes += size
    if group:
        yield _contents(repository, kind, group)


def _too_large(size: int, caps: Caps) -> str:
    if size > caps.file_bytes:
        return f"it has a file of {size} bytes, and {caps.file_bytes} are accepted"
    return f"its files are larger than {caps.bytes} bytes together"


def _sizes(repository: Path, kind: Kind, names: Sequence[str]) -> dict[str, int]:
    lines = _cat(repository, "--batch-check", names).decode(errors="replace").splitlines()
    sizes: dict[str, int] = {}
    for name, line in zip(names, lines, strict=False):
        found, _, rest = line.partition(" ")
        found_kind, _, size = rest.partition(" ")
        if found != name or found_kind != kind or not size.isdecimal():
            raise DamagedError(f"{kind} {name} is missing")
        sizes[name] = int(size)
    if len(sizes) != len(names):
        raise DamagedError(f"git told of {len(sizes)} of {len(names)} objects")
    return sizes


def _contents(repository: Path, kind: Kind, names: Sequence[str]) -> dict[str, bytes]:
    said = memoryview(_cat(repository, "--batch", names))
    contents: dict[str, bytes] = {}
    at = 0
    for name in names:
        end = bytes(said[at : at + 200]).find(b"\n")
        head = bytes(said[at : at + max(end, 0)]).split(b" ")
        if len(head) != 3 or not head[2].isdigit():
            raise DamagedError(f"{kind} {name} cannot be read")
        start_at = at + end + 1
        at = start_at + int(head[2]) + 1
        content = bytes(said[start_at : at - 1])
        if object_id(kind, content) != name:
            raise DamagedError(f"{kind} {name} is not what its name says")
        contents[name] = content
    return contents


def _cat(repository: Path, how: str, names: Sequence[str]) -> bytes:
    """Return what ``git cat-file`` says of objects; all of it, which `run` would not keep."""
    command = git_command(["--git-dir", str(repository), "cat-file", how], offline=True)
    said = bytearray()
    child = start(command, on_stdout=said.extend)
    try:
        child.send("".join(f"{name}\n" for name in names).encode())
        child.end_input()
        status = child.wait(_READ_SECONDS)
        child.drain(_READ_SECONDS)
    finally:
        child.kill_tree()
    if status is None:
        raise LimitError(f"git did not read {repository} in {_READ_SECONDS:g} s", code="deadline")
    if status != 0:
        raise DamagedError(f"git cannot read {repository}: {describe_exit(status)}")
    return bytes(said)


def _clear_leftovers(folder: Path, commit: str) -> None:
    """Remove what killed fetches of a commit left; whoever holds the commit's lock is the only living one."""
    for entry in os.scandir(folder):
        if entry.name.startswith(f"{_FETCHING}{commit}-"):
            try:
                remove_tree(Path(entry.path))
            except OSError:
                continue  # a git that outlives its killed parent still writes; it is removed the next time
