"""Stores of folders that are named by what went into them: each is made once, and appears whole or not at all.

    <dir>/<name>/             one entry; its receipt is written last, and the folder appears by one rename
    <dir>/<name>.uses/        marks of live users and the time of last use: `use_marks`
    <dir>/.building-<key>-…   an entry that is being made, by whoever holds the lock of its key; else left by the dead
    <dir>/.removing-<key>-…   one that is being removed, or was replaced while a user still has it open
    holds/<word>-<key>        the lock of a key: to make, replace or remove an entry, or to begin to use it

A key is what a name begins with. Any process may die at any instant: what it left is never taken for whole, and whoever
holds the lock of its key next may clear it away.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.errors import BlockedError, LimitError, Reason, StemsepEnvError
from stemsep_envs.host import atomic_write, locks, use_marks
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.tree_removal import remove_tree

_log = logging.getLogger(__name__)

BUILDING = ".building-"
REMOVING = ".removing-"
_USES = ".uses"
_LEFTOVER = re.compile(r"\.(?:[a-z]+-)?(?P<key>[0-9a-f]{16,64})[-.]")
_LOOKS = 3
_LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class DigestStore:
    """One kind of entries, and where they are kept.

    Attributes:
        dir: The folder of all entries.
        holds_dir: Where locks are taken.
        word: What an entry is called: in messages, and in the names of locks.
        receipt: The file of an entry that is written last.
        check: Given an entry's folder and the content of its receipt, says in words why it cannot be used, or None.
            Where it raises a ``ValueError``, ``KeyError``, ``TypeError`` or one of our errors, the receipt is damaged.
        name_pattern: The names of entries.
        key_characters: How much of a name is its key.
        gone_code: The code of the error for an entry that is not there when its use begins.
        in_use_code: The code of the reason why an entry cannot be removed.
        damaged: What the receipt of an entry is renamed to when its files are found changed.
    """

    dir: Path
    holds_dir: Path
    word: str
    receipt: str
    check: Callable[[Path, bytes], str | None]
    name_pattern: str = "[0-9a-f]{64}"
    key_characters: int = 16
    gone_code: str = "failed"
    in_use_code: str = "blocked"
    damaged: str | None = None


def entry_dir(store: DigestStore, name: str) -> Path:
    """Return the folder of an entry, whether it is there or not."""
    return store.dir / name


def names(store: DigestStore) -> tuple[str, ...]:
    """Return the names of all entries, whole or broken, in order."""
    try:
        with os.scandir(store.dir) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(sorted(name for name in found if re.fullmatch(store.name_pattern, name)))


def problem_with(store: DigestStore, name: str) -> str | None:
    """Say in words why an entry cannot be used, or None when it is whole."""
    folder = entry_dir(store, name)
    try:
        receipt = (folder / store.receipt).read_bytes()
    except FileNotFoundError:
        if store.damaged is not None and (folder / store.damaged).exists():
            return "files in it are not as they were built"
        return "there is no receipt" if folder.is_dir() else "it was never built"
    except OSError:
        return "its receipt cannot be read"
    try:
        return store.check(folder, receipt)
    except (ValueError, KeyError, TypeError, StemsepEnvError):
        return "its receipt cannot be read"


def hold_path(store: DigestStore, name: str) -> Path:
    """Return the file that the lock of an entry's key is taken on; a name or a key will do."""
    return store.holds_dir / f"{store.word}-{name[: store.key_characters]}"


def hold(
    store: DigestStore, name: str, *, timeout_seconds: float | None = None, on_wait: Callable[[], None] | None = None
) -> AbstractContextManager[None]:
    """Hold the lock of an entry while the block runs; see `locks.hold`."""
    return locks.hold(hold_path(store, name), timeout_seconds=timeout_seconds, on_wait=on_wait)


def ensure(
    store: DigestStore, name: str, make: Callable[[], object], *, on_wait: Callable[[], None] | None = None
) -> bool:
    """Have an entry made, unless it is there; say whether it was there, or another process made it meanwhile.

    Args:
        store: The store.
        name: The entry.
        make: Makes it: in a `staging_dir`, with its receipt last, and then calls `publish`. The lock is held meanwhile.
        on_wait: Called once, where another process holds the lock.

    Raises:
        UsageError: The store cannot be written.
    """
    if problem_with(store, name) is None:
        return True
    ensure_dir(store.dir)
    with hold(store, name, on_wait=on_wait):
        reused = problem_with(store, name) is None
        if not reused:
            make()
    clear_leftovers(store)
    return reused


@contextmanager
def staging_dir(store: DigestStore, name: str) -> Iterator[Path]:
    """Yield an empty folder to make an entry in; what is left of it at the end goes. The caller holds the lock.

    What killed ones left of making the same goes first, so that it takes no space while this is made.
    """
    ensure_dir(store.dir)
    key = name[: store.key_characters]
    for path in _hidden(store):
        if _key_of(path) == key and not path.name.startswith(REMOVING):
            _remove_for_now(path)
    staging = store.dir / f"{BUILDING}{key}-{secrets.token_hex(4)}"
    ensure_dir(staging)
    try:
        yield staging
    finally:
        remove_tree(staging)


def publish(store: DigestStore, name: str, staged: Path) -> None:
    """Give what was made its name, in place of a broken entry. The caller holds the lock.

    Raises:
        ValueError: There is no receipt in it, which is a bug.
    """
    if not (staged / store.receipt).is_file():
        raise ValueError(f"{store.word} {name[:12]} has no {store.receipt} yet")
    remove(store, name)
    atomic_write.publish(staged, entry_dir(store, name))


def remove(store: DigestStore, name: str) -> None:
    """Remove an entry, whole or broken. The caller holds the lock.

    Its files stay, out of the way, for as long as a user has it open: a damaged one is replaced at once.
    """
    folder = entry_dir(store, name)
    live = live_uses(store, name)
    if folder.is_dir():  # from one instant to the next it is no entry any more; then its files go
        aside = store.dir / f"{REMOVING}{name[: store.key_characters]}-{secrets.token_hex(4)}"
        atomic_write.publish(folder, aside)
        if not live:
            remove_tree(aside)
    if not live:
        remove_tree(uses_dir(store, name))


def remove_if_idle(store: DigestStore, name: str, *, last_used_at: float | None) -> str | None:
    """Remove an entry that was chosen to go by when it was last used; return why it stays, or None when it went.

    Args:
        store: The store.
        name: The entry.
        last_used_at: When it was last used as far as the choice knew.
    """
    try:
        with hold(store, name, timeout_seconds=0):
            refuse_if_used(store, name)
            if use_marks.last_used_at(uses_dir(store, name)) != last_used_at:
                return "it was used just now"
            remove(store, name)
    except BlockedError as error:
        return error.message
    except LimitError:
        return "another process is building it, or about to use it"
    return None


def leftovers(store: DigestStore) -> tuple[Path, ...]:
    """Return what dead makers and removers left. A living one holds the lock of its key."""
    keys = {path: _key_of(path) for path in _hidden(store)}
    return tuple(sorted(path for path, key in keys.items() if not locks.is_held(hold_path(store, key))))


def clear_leftovers(store: DigestStore) -> None:
    """Remove what dead makers and removers left, but for what a user still has open.

    What cannot be removed now (an installer that outlives its killed parent still writes) is left for the next time.
    """
    for path in _hidden(store):
        clear_leftover(store, path)


def clear_leftover(store: DigestStore, path: Path) -> bool:
    """Remove one of the `leftovers`, unless its maker lives or a user has it open; say whether it is gone."""
    key = _key_of(path)
    try:
        with hold(store, key, timeout_seconds=0):
            used = store.dir.glob(f"{key}*{_USES}")
            if not any(use_marks.users(folder) for folder in used):
                _remove_for_now(path)
    except LimitError:
        return False  # its maker lives
    return not path.exists()


def uses_dir(store: DigestStore, name: str) -> Path:
    """Return the folder of the marks of an entry's users."""
    return store.dir / f"{name}{_USES}"


@contextmanager
def in_use(store: DigestStore, name: str, *, prepare: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Mark an entry as used while the block runs, so that nobody removes it; the mark dies with this process.

    A store that cannot be written has no marks, and nobody can remove from it either.

    Args:
        store: The store.
        name: The entry.
        prepare: Called while the lock is held, before the block runs; not in a store that is read-only.

    Raises:
        StemsepEnvError: It was removed, or broke, since it was found.
    """
    if not os.access(store.dir, os.W_OK):
        yield
        return
    marks = uses_dir(store, name)
    with ExitStack() as marked:
        with hold(store, name):  # so that a removal sees the mark, or we see the removal
            problem = problem_with(store, name)
            if problem is not None:
                raise StemsepEnvError(
                    f"{store.word} {name[:12]} cannot be used: {problem}",
                    code=store.gone_code,
                )
            prepare()
            marked.enter_context(use_marks.mark(marks))
        use_marks.record_last_use(marks)
        yield
        use_marks.record_last_use(marks)


@contextmanager
def kept(store: DigestStore, name: str) -> Iterator[None]:
    """Keep an entry from being removed while the block looks at it, whole or not; that is no use of it."""
    if not os.access(store.dir, os.W_OK):
        yield
        return
    with ExitStack() as marked:
        with hold(store, name):
            marked.enter_context(use_marks.mark(uses_dir(store, name)))
        yield


def live_uses(store: DigestStore, name: str) -> int:
    """Count the living users of an entry."""
    return len(use_marks.users(uses_dir(store, name)))


def refuse_if_used(store: DigestStore, name: str) -> None:
    """Make sure that nobody uses an entry. The caller holds its lock, so that nobody begins to.

    Raises:
        BlockedError: Somebody does; says who.
    """
    for attempt in range(_LOOKS):  # whoever looks at the mark of a dead user holds it for an instant
        pids = use_marks.users(uses_dir(store, name))
        if not pids:
            return
        if attempt + 1 < _LOOKS:
            time.sleep(_LOOK_AGAIN_SECONDS)
    who = ", ".join(f"process {pid}" for pid in sorted(set(pids)))
    words = f"{store.word} {name[:12]} is in use by {who}"
    reason = Reason(store.in_use_code, words, hint="end it, or wait until it is done")
    raise BlockedError(reason.message, (reason,), hint=reason.hint)


def _hidden(store: DigestStore) -> list[Path]:
    """Return what is being made or removed, by the living or the dead."""
    try:
        with os.scandir(store.dir) as entries:
            return [Path(entry.path) for entry in entries if _LEFTOVER.match(entry.name)]
    except FileNotFoundError:
        return []


def _key_of(hidden: Path) -> str:
    match = _LEFTOVER.match(hidden.name)
    if match is None:
        raise ValueError(f"{hidden} is no leftover")
    return match["key"]


def _remove_for_now(path: Path) -> None:
    try:
        remove_tree(path)
    except OSError as error:
        _log.debug("left for later: %s: %s", path, error)
