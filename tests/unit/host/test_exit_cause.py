"""How a process ended, in words."""

from __future__ import annotations

import sys

import pytest

from stemsep_envs.host.exit_cause import describe_exit, exit_cause_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@pytest.mark.parametrize(
    ("status", "words", "over_limit"),
    [
        (0, "exit status 0", False),
        (2, "exit status 2", False),
        (128, "exit status 128", False),
        (255, "exit status 255", False),
        (-9, "killed by SIGKILL (often: the system ran out of memory)", True),
        (137, "exit status 137, which stands for SIGKILL (often: the system ran out of memory)", True),
        (-11, "killed by SIGSEGV (a crash in native code)", False),
        (-24, "killed by SIGXCPU (more processor time than allowed)", True),
        (153, "exit status 153, which stands for SIGXFSZ (a larger file than allowed)", True),
        (-15, "killed by SIGTERM", False),
        (-64, "killed by SIGRTMAX", False),
        (-200, "killed by signal 200", False),
        (3221225477, "exit status 3221225477", False),
    ],
)
@posix
def test_an_end_in_words(status: int, words: str, *, over_limit: bool) -> None:
    assert describe_exit(status) == words
    assert exit_cause_of(status).over_limit is over_limit
