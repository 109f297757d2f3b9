"""How builds are confined: by the strongest sandbox level that starts quickly and is available here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from stemsep_envs.host.command import Command
from stemsep_envs.host.paths import Home
from stemsep_envs.sandbox.default_limits import default_limits
from stemsep_envs.sandbox.level_table import LevelName
from stemsep_envs.sandbox.levels import quick_level
from stemsep_envs.sandbox.policy import Level, Policy

_BUILD_OUTPUT_BYTES = 4 << 30
"""For the bytecode of an environment, and what its modules keep at import."""


class BuildConfinement:
    """Confines what a build runs of others' code: by the strongest level that starts quickly and is available here.

    Nothing is measured before it is asked for.
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def level(self) -> LevelName:
        """Return the level's name."""
        return self._chosen.name

    def __call__(
        self, argv: tuple[str, ...], *, env: Mapping[str, str], readable: Sequence[Path], writable: Path
    ) -> AbstractContextManager[Command]:
        """Yield the command; see `environments.confining.Confine`."""
        limits = replace(default_limits(), output_bytes=_BUILD_OUTPUT_BYTES)
        return self._chosen.confine(argv, Policy(tuple(readable), writable, env, limits))

    @cached_property
    def _chosen(self) -> Level:
        return quick_level(self._home.cache_dir)
