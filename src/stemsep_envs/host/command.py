"""What to start: program, arguments, environment and folder, with nothing inherited and no shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.host.redaction import redact


@dataclass(frozen=True)
class Command:
    """What to start.

    Attributes:
        argv: Program and arguments; never a shell line.
        env: The whole environment, nothing is inherited.
        cwd: The working folder.
        grace_seconds: How long it may take after SIGTERM to end all that it started, before it is killed. With none
            it is killed at once.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    grace_seconds: float = 0.0

    def shown(self) -> str:
        """Return a line that repeats the command in a shell, secrets hidden."""
        return redact(shlex.join(self.argv))
