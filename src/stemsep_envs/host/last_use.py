"""The time of last use, which gc goes by: kept as the time of last change of a file."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


def record_use(path: Path) -> None:
    """Set a file's time of last change to now, making it if needed; failing to is not an error (read-only homes)."""
    with suppress(OSError):
        path.touch()
        os.utime(path, (time.time(), time.time()))
