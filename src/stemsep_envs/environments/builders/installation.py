"""What a builder is to install: wheels alone, so that installing runs nothing of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.environment import LinkMode
from stemsep_envs.documents.lock import Lock
from stemsep_envs.environments.torch_index import TorchIndex


@dataclass(frozen=True)
class Installation:
    """A lock on its way into a folder.

    Attributes:
        folder: The environment's folder; ``venv`` is made in it.
        interpreter: The Python it is made from.
        lock: What is locked.
        lock_path: A file with its text.
        index: Where the torch packages come from.
        link_mode: How files are to be joined to the package cache, by builders that have one.
        what: What is built, in words.
        offline: Forbid the network.
        built: Folders with wheels that were built here, whose hashes the lock names.
    """

    folder: Path
    interpreter: Path
    lock: Lock
    lock_path: Path
    index: TorchIndex
    link_mode: LinkMode
    what: str
    offline: bool
    built: tuple[Path, ...] = ()
