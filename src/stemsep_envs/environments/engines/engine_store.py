"""The engines of a home: where they are, which are whole, and what was done to their files since.

    engines/<digest>/       tree/ (the source, read-only), files.json and engine.json; a store as `host.digest_store`
                            has them

The files say nothing of where the home is, so that it can be moved.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.engine import LAYOUT, EngineFile, EngineFiles, EngineReceipt
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host import digest_store
from stemsep_envs.host.digest_store import DigestStore
from stemsep_envs.host.paths import Home

RECEIPT = "engine.json"
FILES = "files.json"
TREE = "tree"


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


def store_of(home: Home) -> DigestStore:
    """Return the store of a home's engines."""
    return DigestStore(dir=home.engines_dir, holds_dir=home.holds_dir, word="engine", receipt=RECEIPT, check=_check)


def engine_dir(home: Home, digest: str) -> Path:
    """Return the folder of an engine, whether it is there or not."""
    return home.engines_dir / digest


def tree_dir(home: Home, digest: str) -> Path:
    """Return the folder of an engine's source tree."""
    return engine_dir(home, digest) / TREE


def hold_path(home: Home, digest: str) -> Path:
    """Return the file that the lock of a digest is taken on."""
    return digest_store.hold_path(store_of(home), digest)


def problem_with(home: Home, digest: str) -> str | None:
    """Say in words why an engine cannot be used, or None when it is whole. One small file and one stat."""
    return digest_store.problem_with(store_of(home), digest)


def _check(folder: Path, data: bytes) -> str | None:
    receipt = json.loads(data)
    if receipt["digest"] != folder.name or receipt["inputs"]["layout"] != LAYOUT:
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
    return tuple(_stored(home, digest) for digest in digest_store.names(store_of(home)))


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
    digest_store.remove(store_of(home), digest)


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
