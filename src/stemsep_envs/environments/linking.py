"""How the files of an environment are joined to the package cache: by clones, hard links, or copies.

Clones (copy on write) share the disk and nothing else: always best. Hard links share the file itself, so whoever can
write in the environment can change the cache and every other environment; they are used only because a worker sees
its environment read-only (sandbox levels landlock, namespaces, container), and a receipt says so. Copies share
nothing and cost the disk. ``$STEMSEP_ENV_LINK_MODE`` overrides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stemsep_envs.documents.environment import LinkMode, Size
from stemsep_envs.errors import UsageError
from stemsep_envs.host import files

VARIABLE = "STEMSEP_ENV_LINK_MODE"


@dataclass(frozen=True)
class LinkChoice:
    """The mode to ask for, and why."""

    mode: LinkMode
    why: str


def choose_link_mode(cache: Path, environments: Path) -> LinkChoice:
    """Choose how to join new environments to the package cache; both folders must exist.

    Raises:
        UsageError: The variable that overrides names no mode.
    """
    asked = os.environ.get(VARIABLE, "auto")
    if asked != "auto":
        mode = next((known for known in get_args(LinkMode) if known == asked), None)
        if mode is None:
            raise UsageError(f"{VARIABLE}={asked}: write auto, {', '.join(get_args(LinkMode))}")
        return LinkChoice(mode, f"{VARIABLE} asks for it")
    if cache.stat().st_dev != environments.stat().st_dev:
        return LinkChoice("copy", "the package cache is on another file system")
    if files.can_clone(cache, environments):
        return LinkChoice(
            "clone", "the file system clones files: shared on the disk, and not writable through one another"
        )
    return LinkChoice("hardlink", "the file system cannot clone; workers see the environment read-only")


def measure(environment: Path) -> Size:
    """Count the files of an environment and their bytes, and which of them are hard links to elsewhere."""
    count = total = shared = 0
    pending = [str(environment)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                info = entry.stat(follow_symlinks=False)
                count += 1
                total += info.st_size
                if info.st_nlink > 1:
                    shared += info.st_size
    return Size(files=count, bytes=total, shared_bytes=shared)


def mode_found(asked: LinkMode, size: Size) -> LinkMode:
    """Return the mode that was really used: uv falls back silently, and files with several links give it away."""
    if size.shared_bytes:
        return "hardlink"
    return "copy" if asked == "hardlink" else asked
