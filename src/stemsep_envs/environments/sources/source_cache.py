"""Where sources and the wheels built from them are kept, for whom; imports little, as every look at the disk asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    parse_sdist_filename,
    parse_wheel_filename,
)

from stemsep_envs.host.paths import Home
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.host.tree_removal import remove_tree

_YOUNG_SECONDS = 3600.0
"""What was kept so lately may belong to a build that goes on."""


def built_dir(home: Home) -> Path:
    """Return the folder of wheels that were built here: a folder each, named by what it was built from, for what."""
    return home.cache_dir / "built"


def sources_dir(home: Home) -> Path:
    """Return the folder of source distributions, and of what they declare: a folder each, named by the hash."""
    return home.cache_dir / "sources"


@contextmanager
def scratch_of(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder beside what is made. The caller holds its lock: what killed ones left there goes first."""
    prefix = f".making-{folder.name[:16]}-"
    for leftover in folder.parent.glob(f"{prefix}*"):
        remove_tree(leftover)
    with scratch_dir(folder.parent, prefix) as scratch:
        yield scratch


def kept_by_distribution(home: Home) -> Iterator[tuple[NormalizedName, Path]]:
    """Yield the folders of sources and built wheels, each with its distribution; without those that are new."""
    newest = time.time() - _YOUNG_SECONDS
    for parent in (built_dir(home), sources_dir(home)):
        for folder in sorted(parent.glob("*")):
            with suppress(OSError):  # it went meanwhile
                names = [name for path in folder.glob("*") if (name := _distribution_of(path.name)) is not None]
                if names and folder.stat().st_mtime < newest:
                    yield names[0], folder


def _distribution_of(filename: str) -> NormalizedName | None:
    try:
        return parse_wheel_filename(filename)[0] if filename.endswith(".whl") else parse_sdist_filename(filename)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
