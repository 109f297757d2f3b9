"""From a checkpoint to a safetensors file. What it contained is said in the file's metadata."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Any, Dict, List

from .archives import read_checkpoint
from .reading import TREE_KEY
from .storing import write
from .tree_building import stored
from .values import CheckpointError

REPORT_KEY = "stemsep.report"
MAX_NOTES = 100
MAX_NAMES = 10_000
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def convert(source: str, output: str) -> Dict[str, Any]:
    """Convert a checkpoint; returns what it contained beside data.

    Args:
        source: The checkpoint.
        output: The file to make; it must not be there.

    Raises:
        CheckpointError: It is not converted; the message says why.
        OSError: A file cannot be read or written.
    """
    with open(source, "rb") as stream:
        try:
            contents = read_checkpoint(stream)
            made = stored(contents.root)
        except (MemoryError, RecursionError):
            words = "what it holds beside its tensors takes more memory than a real checkpoint needs"
            raise CheckpointError(words) from None
        inert = sorted(contents.machine.inert.items())
        if len(inert) > MAX_NAMES:
            raise CheckpointError(f"it names {len(inert)} classes and functions, more than a real checkpoint does")
        notes = list(contents.machine.notes)
        if len(notes) > MAX_NOTES:
            notes[MAX_NOTES - 1 :] = [f"{len(notes) - MAX_NOTES + 1} things more"]
        report = {
            "format": contents.format,
            "inert": [
                {
                    "name": name.encode("ascii", "backslashreplace").decode(),
                    "named": found.named,
                    "called": found.called,
                }
                for name, found in inert
            ],
            "left_out": [words.encode("ascii", "backslashreplace").decode() for words in notes],
        }
        # "pt": what readers of safetensors take the tensors for.
        metadata = {"format": "pt", REPORT_KEY: _json(report), TREE_KEY: _json(made.tree)}
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            write(descriptor, stream.fileno(), made.entries, metadata)
        finally:
            os.close(descriptor)
    return report


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def main(arguments: List[str]) -> int:
    """Convert `arguments[0]` to `arguments[1]`; a refusal is one line of JSON on stdout, with exit status 1."""
    try:
        convert(*arguments)
    except (CheckpointError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else None
        print(json.dumps({"message": str(error)[:2000], "no_room": number in _NO_ROOM}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
