"""Which files live sessions use: those are not removed from under them.

    artifacts/uses/<name>.json    hashes
    artifacts/uses/<name>         the lock of the session; it goes with its process, and then the hashes count no more

Whoever marks and whoever removes take one lock in turn, so that a removal sees the mark, or the session the removal.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from stemsep_envs.artifacts.blobs import blob_path
from stemsep_envs.errors import StemsepEnvError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_file

_TURN = "artifact-uses"


@contextmanager
def in_use(home: Home, hashes: Collection[str]) -> Iterator[None]:
    """Keep files from being removed while the block runs.

    A home that cannot be written has no marks, and nobody can remove from it either.

    Raises:
        StemsepEnvError: One of them was removed since it was found.
    """
    if not hashes or not os.access(home.artifacts_dir, os.W_OK):
        yield
        return
    mark = home.artifacts_dir / "uses" / f"{os.getpid()}-{secrets.token_hex(4)}"
    listed = mark.with_name(f"{mark.name}.json")
    try:
        with locks.hold(mark):
            with locks.hold(home.holds_dir / _TURN):
                write_atomic(listed, json.dumps(sorted(hashes)).encode())
                gone = [sha256 for sha256 in hashes if not blob_path(home, sha256).is_file()]
            if gone:
                raise StemsepEnvError(
                    f"an artifact was removed since it was found: {gone[0][:12]}",
                    hint="run the same command again: it is fetched again",
                    code="artifact_gone",
                )
            yield
    finally:
        remove_file(listed)
        remove_file(mark)


@contextmanager
def removing(home: Home) -> Iterator[Callable[[], set[str]]]:
    """Keep sessions from beginning while the block removes files; yield what tells which hashes live ones use."""
    with locks.hold(home.holds_dir / _TURN):
        yield lambda: _used(home)


def _used(home: Home) -> set[str]:
    folder = home.artifacts_dir / "uses"
    used: set[str] = set()
    if not folder.is_dir():
        return used
    for listed in folder.glob("*.json"):
        mark = listed.with_suffix("")
        if locks.is_held(mark):
            used |= _hashes(listed.read_bytes())
        else:
            remove_file(listed)
            remove_file(mark)
    return used


def _hashes(data: bytes) -> set[str]:
    try:
        found = json.loads(data)
    except ValueError:
        return set()
    return {text for text in found if isinstance(text, str)} if isinstance(found, list) else set()
