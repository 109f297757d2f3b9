"""How a command is shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stemsep_envs.host.command import Command

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def test_a_command_is_shown_as_a_shell_takes_it() -> None:
    command = Command(("tool", "a b", "$(x)", "--index", "https://u:secret@host/simple"), {}, Path("/"))
    assert command.shown() == "tool 'a b' '$(x)' --index 'https://u:***@host/simple'" or command.shown() == (
        "tool 'a b' '$(x)' --index https://u:***@host/simple"
    )
