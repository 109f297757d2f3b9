"""The environments of a home: where they are, which are whole, which are in use.

    environments/<digest>/       venv/, lock.txt, manifest.json, receipt.json; a store as `host.digest_store` has them
    environments/.copying-…      copies on their way into an environment that shares no file with others any more

Everything here is cheap: whether the files are still as they were built is for ``verify`` to say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.environment import LAYOUT, Receipt
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host import digest_store, use_marks
from stemsep_envs.host.digest_store import DigestStore
from stemsep_envs.host.paths import Home

RECEIPT = "receipt.json"
MANIFEST = "manifest.json"
DAMAGED = "receipt-of-damaged.json"
LOCK = "lock.txt"
BUILDING = digest_store.BUILDING
REMOVING = digest_store.REMOVING
COPYING = ".copying-"


@dataclass(frozen=True)
class Stored:
    """One environment of the home.

    Attributes:
        digest: Its name.
        dir: Its folder.
        receipt: What went in, also of one that was found damaged; None when it cannot be read.
        problem: Why it cannot be used, or None when it is whole.
        last_used_at: Seconds since 1970; None when never.
        live_uses: How many sessions use it now.
        users: Their processes.
    """

    digest: str
    dir: Path
    receipt: Receipt | None
    problem: str | None
    last_used_at: float | None
    live_uses: int
    users: tuple[int, ...] = ()


def store_of(home: Home) -> DigestStore:
    """Return the store of a home's environments."""
    return DigestStore(
        dir=home.environments_dir,
        holds_dir=home.holds_dir,
        word="environment",
        receipt=RECEIPT,
        check=_check,
        gone_code="environment_gone",
        in_use_code="environment_in_use",
        damaged=DAMAGED,
    )


def environment_dir(home: Home, digest: str) -> Path:
    """Return the folder of an environment, whether it is there or not."""
    return home.environments_dir / digest


def python_path(environment: Path) -> Path:
    """Return the interpreter inside an environment's folder."""
    return environment / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def site_packages(environment: Path) -> tuple[Path, ...]:
    """Return the folders of an environment that its distributions lie in."""
    pattern = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
    return tuple(sorted((environment / "venv").glob(pattern)))


def hold_path(home: Home, digest: str) -> Path:
    """Return the file that the lock of a digest is taken on."""
    return digest_store.hold_path(store_of(home), digest)


def problem_with(home: Home, digest: str) -> str | None:
    """Say in words why an environment cannot be used, or None when it is whole. A few stats and one small file."""
    return digest_store.problem_with(store_of(home), digest)


def _check(folder: Path, data: bytes) -> str | None:
    receipt = json.loads(data)
    base = receipt["base_interpreter"]
    known = (base["size_bytes"], base["mtime_us"])
    if receipt["digest"] != folder.name or receipt["inputs"]["layout"] != LAYOUT:
        return "its receipt is for another environment"
    try:
        found = Path(base["path"]).stat()
        inside = python_path(folder).stat()
    except OSError as error:
        return f"its interpreter is gone: {error.filename}"
    if (found.st_size, found.st_mtime_ns // 1000) != known:
        return f"the interpreter it was made from was replaced: {base['path']}"
    return None if inside.st_size else "its interpreter is empty"


def read_receipt(home: Home, digest: str) -> Receipt:
    """Return the receipt of an environment.

    Raises:
        InvalidDocumentError: It is damaged.
        StemsepEnvError: There is none.
    """
    path = environment_dir(home, digest) / RECEIPT
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StemsepEnvError(
            f"there is no environment {digest[:12]}: {error.strerror}", code="unknown_environment"
        ) from None
    return parse_json(data, Receipt, origin=str(path))


def read_any_receipt(home: Home, digest: str) -> Receipt:
    """Return the receipt of an environment, also of one that was found damaged; raises as `read_receipt` does."""
    try:
        return read_receipt(home, digest)
    except StemsepEnvError:
        path = environment_dir(home, digest) / DAMAGED
        if not path.is_file():
            raise
        return parse_json(path.read_bytes(), Receipt, origin=str(path))


def list_environments(home: Home) -> tuple[Stored, ...]:
    """Return every environment of the home, whole or broken, last used first."""
    stored = [_stored(home, digest) for digest in digest_store.names(store_of(home))]
    return tuple(sorted(stored, key=lambda item: (-(item.last_used_at or 0.0), item.digest)))


def in_use(home: Home, digest: str, *, prepare: Callable[[], object] = lambda: None) -> AbstractContextManager[None]:
    """Mark an environment as used while the block runs; see `digest_store.in_use`."""
    return digest_store.in_use(store_of(home), digest, prepare=prepare)


def users(home: Home, digest: str) -> tuple[int, ...]:
    """Return the processes whose sessions use an environment, one for each session."""
    return use_marks.users(_uses_dir(home, digest))


def live_uses(home: Home, digest: str) -> int:
    """Count the living sessions that use an environment."""
    return len(users(home, digest))


def refuse_if_used(home: Home, digest: str) -> None:
    """Make sure that no session uses an environment. The caller holds its lock, so that none begins to.

    Raises:
        BlockedError: One does; says who.
    """
    digest_store.refuse_if_used(store_of(home), digest)


def remove(home: Home, digest: str) -> None:
    """Remove an environment, whole or broken. The caller holds its lock."""
    digest_store.remove(store_of(home), digest)


def clear_leftovers(home: Home) -> None:
    """Remove what dead builders and removers left."""
    digest_store.clear_leftovers(store_of(home))


def last_used_at(home: Home, digest: str) -> float | None:
    """Return when an environment was last used, in seconds since 1970; None when never."""
    return use_marks.last_used_at(_uses_dir(home, digest))


def last_used_path(home: Home, digest: str) -> Path:
    """Return the file whose time of change says when an environment was last used."""
    return use_marks.last_used_path(_uses_dir(home, digest))


def _uses_dir(home: Home, digest: str) -> Path:
    return digest_store.uses_dir(store_of(home), digest)


def _stored(home: Home, digest: str) -> Stored:
    problem, receipt = problem_with(home, digest), None
    try:
        receipt = read_any_receipt(home, digest)
    except StemsepEnvError as error:
        problem = problem or error.message
    folder = environment_dir(home, digest)
    pids = users(home, digest)
    return Stored(digest, folder, receipt, problem, last_used_at(home, digest), len(pids), pids)
