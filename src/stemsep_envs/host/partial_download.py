"""The part of a resumable download that is here so far, in a form that survives any death of its writer.

<name>.part         the bytes
<name>.part.json    where they came from, which version of the file they are of, how many surely reached the disk
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.file_reading import blocks_of
from stemsep_envs.host.tree_removal import remove_file
from stemsep_envs.host.write_errors import explained

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass
class PartState:
    """What is in a part, and what it is a part of.

    Attributes:
        size: Bytes that are here.
        sure: Of these, bytes that are on the disk even after a power cut.
        source: The place they came from.
        validator: What tells this version of the file from others: a strong tag or a time; None when nothing does.
        total: Bytes of the whole file, where its server said so.
        digest: SHA-256 of what is here.
    """

    size: int = 0
    sure: int = 0
    source: str = ""
    validator: str | None = None
    total: int | None = None
    digest: _Hash = field(default_factory=hashlib.sha256)


def begun(part: Path, source: str, *, any_source: bool, check: Callable[[], None]) -> PartState:
    """Return what is in a part that can be continued, read and hashed; what cannot be is removed.

    Args:
        part: The file of bytes.
        source: The place that it would be continued from.
        any_source: Whether a hash will check the whole: then any bytes will do. Else it must be the same place, the
            version must be told, and only bytes that surely reached the disk count.
        check: Called now and then; may raise to stop.
    """
    try:
        notes = json.loads(notes_path(part).read_bytes())
        total = None if notes["total_bytes"] is None else int(notes["total_bytes"])
        validator = None if notes["validator"] is None else str(notes["validator"])
        state = PartState(part.stat().st_size, int(notes["sure_bytes"]), str(notes["source"]), validator, total)
    except (OSError, ValueError, KeyError, TypeError):
        state = PartState()
    if not any_source:
        known = state.source == source and state.validator is not None
        state.size = min(state.size, state.sure) if known else 0
    if state.total is not None and state.size > state.total:
        state.size = 0
    if state.size <= 0:
        discard(part)
        return PartState(source=source)
    left = state.size
    with explained(part), part.open("rb") as stream:
        for block in blocks_of(stream):
            state.digest.update(block[:left])
            left -= len(block[:left])
            check()
    return state


def make_sure(part: Path, stream: BinaryIO, state: PartState) -> None:
    """Wait until what was written is on the disk, and note it."""
    stream.flush()
    os.fsync(stream.fileno())
    state.sure = state.size
    note(part, state)


def note(part: Path, state: PartState) -> None:
    """Write down what a part is a part of, and how much of it is sure."""
    facts: Mapping[str, object] = {
        "source": state.source,
        "validator": state.validator,
        "total_bytes": state.total,
        "sure_bytes": state.sure,
    }
    write_atomic(notes_path(part), json.dumps(facts).encode())


def notes_path(part: Path) -> Path:
    """Return the file beside a part that tells of it."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a part and what is told of it."""
    with explained(part):
        remove_file(part)
        remove_file(notes_path(part))
