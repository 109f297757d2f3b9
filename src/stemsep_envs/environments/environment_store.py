"""The environments of a home: where they are, which are whole, which are in use.

    environments/<digest>/          venv/, lock.txt, manifest.json, receipt.json; appears whole, by one rename
    environments/<digest>.uses/     a file a live session, locked while it lives; the mtime of ``last-used``
    environments/.building-…        being built, by whoever holds the digest's lock; otherwise left by the dead
    environments/.removing-…        being removed, or replaced while a session still has it open
    environments/.copying-…         copies on their way into an environment that shares no file with others any more
    holds/environment-…             the lock of a digest: to build, replace, remove, or begin to use it

Everything here is cheap: whether the files are still as they were built is for ``verify`` to say.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.environment import LAYOUT, Receipt
from stemsep_envs.errors import BlockedError, LimitError, Reason, StemsepEnvError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import publish
from stemsep_envs.host.last_use import record_use
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file, remove_tree

_log = logging.getLogger(__name__)

RECEIPT = "receipt.json"
MANIFEST = "manifest.json"
DAMAGED = "receipt-of-damaged.json"
LOCK = "lock.txt"
BUILDING = ".building-"
REMOVING = ".removing-"
COPYING = ".copying-"
_DIGEST_CHARACTERS = 64
_HOLD_CHARACTERS = 16
_USES = ".uses"
_MARK = re.compile(r"[0-9]+-[0-9a-f]{8}")
_LOOKS = 3
_LOOK_AGAIN_SECONDS = 0.02


def _nothing() -> None:
    """Prepare nothing."""


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
    return home.holds_dir / f"environment-{digest[:_HOLD_CHARACTERS]}"


def problem_with(home: Home, digest: str) -> str | None:  # noqa: PLR0911 - one reason each
    """Say in words why an environment cannot be used, or None when it is whole. A few stats and one small file."""
    folder = environment_dir(home, digest)
    try:
        receipt = json.loads((folder / RECEIPT).read_bytes())
        base = receipt["base_interpreter"]
        layout, named = receipt["inputs"]["layout"], receipt["digest"]
        known = (base["size_bytes"], base["mtime_us"])
    except FileNotFoundError:
        if (folder / DAMAGED).exists():
            return "files in it are not as they were built"
        return "there is no receipt" if folder.is_dir() else "it was never built"
    except (OSError, ValueError, KeyError, TypeError):
        return "its receipt cannot be read"
    if named != digest or layout != LAYOUT:
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
    if not home.environments_dir.is_dir():
        return ()
    digests = [
        entry.name
        for entry in os.scandir(home.environments_dir)
        if len(entry.name) == _DIGEST_CHARACTERS and entry.is_dir(follow_symlinks=False)
    ]
    stored = [_stored(home, digest) for digest in digests]
    return tuple(sorted(stored, key=lambda item: (-(item.last_used_at or 0.0), item.digest)))


@contextmanager
def in_use(home: Home, digest: str, *, prepare: Callable[[], object] = _nothing) -> Iterator[None]:
    """Mark an environment as used while the block runs, so that nobody removes it; the mark dies with this process.

    A home that cannot be written has no marks, and nobody can remove from it either.

    Args:
        home: The home.
        digest: Which environment.
        prepare: Called while the environment's lock is held, before the block runs; not in a home that is read-only.

    Raises:
        StemsepEnvError: It was removed, or broke, since it was found.
    """
    if not os.access(home.environments_dir, os.W_OK):
        yield
        return
    with ExitStack() as marked:
        with locks.hold(hold_path(home, digest)):  # so that a removal sees the mark, or we see the removal
            problem = problem_with(home, digest)
            if problem is not None:
                raise StemsepEnvError(f"environment {digest[:12]} cannot be used: {problem}", code="environment_gone")
            prepare()
            marked.enter_context(_mark(home, digest))
        record_use(last_used_path(home, digest))
        yield
        record_use(last_used_path(home, digest))


@contextmanager
def kept(home: Home, digest: str) -> Iterator[None]:
    """Keep an environment from being removed while the block looks at it, whole or not; that is no use of it."""
    if not os.access(home.environments_dir, os.W_OK):
        yield
        return
    with ExitStack() as marked:
        with locks.hold(hold_path(home, digest)):
            marked.enter_context(_mark(home, digest))
        yield


@contextmanager
def _mark(home: Home, digest: str) -> Iterator[None]:
    mark = _uses_dir(home, digest) / f"{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with locks.hold(mark):
            yield
    finally:
        remove_file(mark)


def users(home: Home, digest: str) -> tuple[int, ...]:
    """Return the processes whose sessions use an environment, one for each session."""
    return tuple(int(mark.name.partition("-")[0]) for mark in _marks(home, digest) if locks.is_held(mark))


def live_uses(home: Home, digest: str) -> int:
    """Count the living sessions that use an environment."""
    return len(users(home, digest))


def refuse_if_used(home: Home, digest: str) -> None:
    """Make sure that no session uses an environment. The caller holds its lock, so that none begins to.

    Raises:
        BlockedError: One does; says who.
    """
    for attempt in range(_LOOKS):  # whoever looks at the mark of a dead session holds it for an instant
        pids = users(home, digest)
        if not pids:
            return
        if attempt + 1 < _LOOKS:
            time.sleep(_LOOK_AGAIN_SECONDS)
    who = ", ".join(f"process {pid}" for pid in sorted(set(pids)))
    reason = Reason(
        "environment_in_use", f"environment {digest[:12]} is in use by {who}", hint="end it, or wait until it is done"
    )
    raise BlockedError(reason.message, (reason,), hint=reason.hint)


def remove(home: Home, digest: str) -> None:
    """Remove an environment, whole or broken. The caller holds its lock.

    Its files stay, out of the way, for as long as a session has it open: a damaged one is replaced at once.
    """
    folder = environment_dir(home, digest)
    live = live_uses(home, digest)
    if folder.is_dir():  # from one instant to the next it is no longer an environment; then its files go
        aside = home.environments_dir / f"{REMOVING}{digest[:_HOLD_CHARACTERS]}-{secrets.token_hex(4)}"
        publish(folder, aside)
        if not live:
            remove_tree(aside)
    if not live:
        remove_tree(_uses_dir(home, digest))


def clear_leftovers(home: Home) -> None:
    """Remove what dead builders and removers left. A living one holds the lock of its digest and is let alone.

    What cannot be removed now (an installer that outlives its killed parent still writes) is left for the next time.
    """
    if not home.environments_dir.is_dir():
        return
    for entry in os.scandir(home.environments_dir):
        for prefix in (BUILDING, REMOVING, COPYING):
            if entry.name.startswith(prefix):
                _clear_leftover(home, Path(entry.path), entry.name.removeprefix(prefix).partition("-")[0])


def _clear_leftover(home: Home, path: Path, beginning: str) -> None:
    """Remove a leftover of the environment whose digest begins so, unless its maker lives or a session has it open."""
    try:
        with locks.hold(hold_path(home, beginning), timeout_seconds=0):
            used = home.environments_dir.glob(f"{beginning}*{_USES}")
            if not any(live_uses(home, folder.name.removesuffix(_USES)) for folder in used):
                remove_tree(path)
    except LimitError:
        return  # its builder lives
    except OSError as error:
        _log.debug("left for later: %s: %s", path, error)


def last_used_at(home: Home, digest: str) -> float | None:
    """Return when an environment was last used, in seconds since 1970; None when never."""
    try:
        return last_used_path(home, digest).stat().st_mtime
    except OSError:
        return None


def last_used_path(home: Home, digest: str) -> Path:
    """Return the file whose time of change says when an environment was last used."""
    return _uses_dir(home, digest) / "last-used"


def _uses_dir(home: Home, digest: str) -> Path:
    return home.environments_dir / f"{digest}{_USES}"


def _marks(home: Home, digest: str) -> list[Path]:
    try:
        return [path for path in _uses_dir(home, digest).iterdir() if _MARK.fullmatch(path.name)]
    except FileNotFoundError:
        return []


def _stored(home: Home, digest: str) -> Stored:
    problem, receipt = problem_with(home, digest), None
    try:
        receipt = read_any_receipt(home, digest)
    except StemsepEnvError as error:
        problem = problem or error.message
    folder = environment_dir(home, digest)
    pids = users(home, digest)
    return Stored(digest, folder, receipt, problem, last_used_at(home, digest), len(pids), pids)
