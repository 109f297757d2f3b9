"""Being bound by permissions for a while: root, under whom many tests run, is bound by none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Yield a new folder, and be a user who owns it and little else."""
    folder = Path(tempfile.mkdtemp())  # not `tmp_path`, which lies in folders that only root may enter
    was_root = os.geteuid() == 0
    try:
        if was_root:
            os.chown(folder, _NOBODY, _NOBODY)
            os.seteuid(_NOBODY)
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        for current, _, _ in os.walk(folder):
            Path(current).chmod(0o700)
        shutil.rmtree(folder)
