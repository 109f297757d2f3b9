"""The engines of a home: where they are, which are whole, and what was done to their files since.

    engines/<digest>/       tree/ (the source, read-only), files.json and engine.json; appears whole, by one rename
    engines/.building-…     being built, by whoever holds the digest's lock; otherwise left by the dead
    engines/.removing-…     being removed
    holds/engine-…          the lock of a digest: to build, replace or remove it

The files say nothing of where the home is, so that it can be moved.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine import LAYOUT, EngineFile, EngineFiles, EngineReceipt
from stemsep_envs.errors import LimitError, StemsepEnvError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import publish
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree

_log = logging.getLogger(__name__)

RECEIPT = "engine.json"
FILES = "files.json"
TREE = "tree"
BUILDING = ".building-"
REMOVING = ".removing-"
_DIGEST_CHARACTERS = 64
_HOLD_CHARACTERS = 16


@dataclass(frozen=True)
class StoredEngine:
    """One engine of the home; ``problem`` says why it cannot be used, or is None when it is whole."""

    digest: str
    dir: Path
    receipt: EngineReceipt | None
    problem: str | None


@dataclass(frozen=True)
class Damage:
    """How an engine's files differ from those it was built with. Paths are relative to its tree.

    Attributes:
        problem: Why the files could not be compared; None when they were.
        changed: Files of another content, kind or right to execute.
        missing: Files that are gone.
        extra: What was put in: files, links, and folders that none of the engine's files lies in.
    """

    problem: str | None = None
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is any."""
        return self != Damage()


def engine_dir(home: Home, digest: str) -> Path:
    """Return the folder of an engine, whether it is there or not."""
    return home.engines_dir / digest


def tree_dir(home: Home, digest: str) -> Path:
    """Return the folder of an engine's source tree."""
    return engine_dir(home, digest) / TREE


def hold_path(home: Home, digest: str) -> Path:
    """Return the file that the lock of a digest is taken on."""
    return home.holds_dir / f"engine-{digest[:_HOLD_CHARACTERS]}"


def staging_dir(home: Home, digest: str) -> Path:
    """Return a new name to build an engine under."""
    return home.engines_dir / f"{BUILDING}{digest[:_HOLD_CHARACTERS]}-{secrets.token_hex(4)}"


def problem_with(home: Home, digest: str) -> str | None:
    """Say in words why an engine cannot be used, or None when it is whole. One small file and one stat."""
    folder = engine_dir(home, digest)
    try:
        receipt = json.loads((folder / RECEIPT).read_bytes())
        named, layout = receipt["digest"], receipt["inputs"]["layout"]
    except FileNotFoundError:
        return "there is no receipt" if folder.is_dir() else "it was never built"
    except (OSError, ValueError, KeyError, TypeError):
        return "its receipt cannot be read"
    if named != digest or layout != LAYOUT:
        return "its receipt is for another engine"
    return None if (folder / TREE).is_dir() else "its tree is gone"


def read_receipt(home: Home, digest: str) -> EngineReceipt:
    """Return the receipt of an engine.

    Raises:
        InvalidDocumentError: It is damaged.
        StemsepEnvError: There is none.
    """
    path = engine_dir(home, digest) / RECEIPT
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StemsepEnvError(f"there is no engine {digest[:12]}: {error.strerror}", code="unknown_engine") from None
    return parse_json(data, EngineReceipt, origin=str(path))


def list_engines(home: Home) -> tuple[StoredEngine, ...]:
    """Return every engine of the home, whole or broken, by digest."""
    if not home.engines_dir.is_dir():
        return ()
    digests = sorted(
        entry.name
        for entry in os.scandir(home.engines_dir)
        if len(entry.name) == _DIGEST_CHARACTERS and entry.is_dir(follow_symlinks=False)
    )
    return tuple(_stored(home, digest) for digest in digests)


def verify_engine(home: Home, digest: str) -> Damage:
    """Compare every file of an engine with what it was built with. Reads all of it; changes nothing."""
    problem = problem_with(home, digest)
    if problem is not None:
        return Damage(problem)
    path = engine_dir(home, digest) / FILES
    try:
        receipt = read_receipt(home, digest)
        listed = parse_json(path.read_bytes(), EngineFiles, origin=str(path))
    except OSError as error:
        return Damage(f"its list of files cannot be read: {error.strerror}")
    except StemsepEnvError as error:
        return Damage(error.message)
    if listed.digest != receipt.tree:
        return Damage("its list of files is not the one that its receipt names")
    return _compare(tree_dir(home, digest), {file.path: file for file in listed.files})


def remove(home: Home, digest: str) -> None:
    """Remove an engine, whole or broken. The caller holds its lock and knows that nobody uses it."""
    folder = engine_dir(home, digest)
    if folder.is_dir():  # from one instant to the next it is no longer an engine; then its files go
        aside = home.engines_dir / f"{REMOVING}{digest[:_HOLD_CHARACTERS]}-{secrets.token_hex(4)}"
        publish(folder, aside)
        remove_tree(aside)


def clear_leftovers(home: Home) -> None:
    """Remove what dead builders and removers left. A living one holds the lock of its digest and is let alone."""
    if not home.engines_dir.is_dir():
        return
    for entry in os.scandir(home.engines_dir):
        for prefix in (BUILDING, REMOVING):
            if entry.name.startswith(prefix):
                digest = entry.name.removeprefix(prefix).partition("-")[0]
                try:
                    with locks.hold(hold_path(home, digest), timeout_seconds=0):
                        remove_tree(Path(entry.path))
                except LimitError:
                    continue  # its builder lives
                except OSError as error:
                    _log.debug("left for later: %s: %s", entry.path, error)


def _stored(home: Home, digest: str) -> StoredEngine:
    problem, receipt = problem_with(home, digest), None
    try:
        receipt = read_receipt(home, digest)
    except StemsepEnvError as error:
        problem = problem or error.message
    return StoredEngine(digest, engine_dir(home, digest), receipt, problem)


def _compare(root: Path, listed: Mapping[str, EngineFile]) -> Damage:
    changed: list[str] = []
    extra: list[str] = []
    missing = set(listed)
    folders = {"/".join(path.split("/")[:depth]) for path in listed for depth in range(1, path.count("/") + 1)}
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        for entry in os.scandir(root / prefix):
            path = prefix + entry.name
            if path in listed:
                missing.discard(path)
                if not _is_as_built(Path(entry.path), listed[path]):
                    changed.append(path)
            elif path in folders and entry.is_dir(follow_symlinks=False):
                waiting.append(f"{path}/")
            else:
                extra.append(path)
    return Damage(None, tuple(sorted(changed)), tuple(sorted(missing)), tuple(sorted(extra)))


def _is_as_built(path: Path, file: EngineFile) -> bool:
    try:
        facts = path.lstat()
        if file.link is not None:
            return stat.S_ISLNK(facts.st_mode) and str(path.readlink()) == file.link
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != file.size_bytes:
            return False
        if os.name != "nt" and bool(facts.st_mode & stat.S_IXUSR) != file.executable:
            return False
        return digest_of_bytes(path.read_bytes()) == file.sha256
    except OSError:
        return False
