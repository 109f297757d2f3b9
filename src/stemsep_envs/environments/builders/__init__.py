"""Builders: the tools that make a virtual environment and install what is locked. Each is a module of one interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.environments.builders import with_pip, with_uv
from stemsep_envs.environments.builders.installation import Installation
from stemsep_envs.host.command import Command
from stemsep_envs.host.paths import Home


class Tool(Protocol):
    """What a builder can do. Environments of different builders hold the same distributions and are used alike."""

    def version(self, interpreter: Path, /, *, home: Home) -> str:
        """Return the version of the tool, as the receipt tells it."""

    def create(self, job: Installation, /, *, home: Home) -> None:
        """Make ``venv`` in the environment's folder.

        Raises:
            BuildError: It could not.
        """

    def install(self, job: Installation, /, *, home: Home) -> None:
        """Install exactly what is locked, each file checked against its hash, such that the folder can be moved.

        Raises:
            BuildError: It could not; offline, everything that is missing is named.
            MismatchError: A file is not the one that is locked.
        """

    def commands(self, job: Installation, /, *, home: Home) -> tuple[Command, ...]:
        """Return the commands of `create` and of `install`, in this order, for repeating them by hand."""


TOOLS: Mapping[BuilderName, Tool] = {"uv": with_uv, "pip": with_pip}
