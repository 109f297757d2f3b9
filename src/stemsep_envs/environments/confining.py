"""How a build confines what it runs of others' code: given by whoever knows the sandbox, which is not known here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from stemsep_envs.host.command import Command


class Confine(Protocol):
    """A way to run a program of the environment such that it changes nothing but one folder, and reaches no network."""

    @property
    def level(self) -> str:
        """Return what confines it, in the words of the sandbox."""

    def __call__(
        self, argv: tuple[str, ...], *, env: Mapping[str, str], readable: Sequence[Path], writable: Path
    ) -> AbstractContextManager[Command]:
        """Yield the command that runs ``argv`` confined.

        Args:
            argv: The program and its arguments.
            env: Its whole environment.
            readable: What it may read besides the system.
            writable: The folder it may write, in which it starts.
        """
