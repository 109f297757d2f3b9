"""Confining what builds run at a level that the test names, whatever this machine has besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from stemsep_envs.host.command import Command
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import LevelName, Policy


class At:
    """Confines at one level."""

    def __init__(self, name: LevelName) -> None:
        self.level = name

    def __call__(
        self, argv: tuple[str, ...], *, env: Mapping[str, str], readable: Sequence[Path], writable: Path
    ) -> AbstractContextManager[Command]:
        return level_named(self.level).confine(argv, Policy(tuple(readable), writable, env))
