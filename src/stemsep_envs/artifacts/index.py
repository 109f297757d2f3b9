"""The index: what each address stands for. One small file an address, written whole or not at all.

What it says is enforced from then on: an address that later gives other bytes is refused, whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from stemsep_envs.documents.artifacts import IndexEntry, Trust
from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.writing import json_text
from stemsep_envs.errors import InvalidDocumentError, MismatchError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home


def entry_path(home: Home, key: str) -> Path:
    """Return the file of an address, by its key."""
    return home.artifacts_dir / "index" / key[:2] / f"{key}.json"


def find(home: Home, key: str) -> IndexEntry | None:
    """Return what is known of an address, or None when its file was never here.

    Raises:
        MismatchError: What was written down cannot be read: it is not passed over, since it is there to be enforced.
    """
    path = entry_path(home, key)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    try:
        return parse_json(data, IndexEntry, origin=str(path))
    except InvalidDocumentError as error:
        raise _damaged(path, str(error.problems[0])) from None


def record(home: Home, key: str, entry: IndexEntry) -> None:
    """Write down what an address stands for. The caller holds the lock of the address.

    Raises:
        LimitError: No space.
        UsageError: The home cannot be written.
    """
    write_atomic(entry_path(home, key), json_text(entry).encode("utf-8", "surrogatepass") + b"\n")


def entry_of(url: str, sha256: str, size_bytes: int, trust: Trust, *, source: str, filename: str | None) -> IndexEntry:
    """Return an entry of the index that is made now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return IndexEntry(
        url=url, sha256=sha256, size_bytes=size_bytes, trust=trust, source=source, filename=filename, recorded_at=now
    )


def every_entry(home: Home) -> Iterator[IndexEntry]:
    """Yield all entries, by address; those that cannot be read are left out."""
    found = []
    for path in (home.artifacts_dir / "index").glob("*/*.json"):
        try:
            found.append(parse_json(path.read_bytes(), IndexEntry, origin=str(path)))
        except (OSError, InvalidDocumentError):
            continue
    yield from sorted(found, key=lambda entry: entry.url)


def _damaged(path: Path, words: str) -> MismatchError:
    return MismatchError(
        f"the index entry {path} cannot be read: {words}",
        hint="remove it; the artifact then counts as never fetched",
        code="artifact_index_damaged",
    )
