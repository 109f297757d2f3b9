"""The console script. Answers ``ensure`` from what is remembered when nothing has changed; loads the rest otherwise."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["ensure"]:
        from stemsep_envs.cli.remembered import answer

        code = answer(arguments[1:])
        if code is not None:
            sys.exit(code)
    from stemsep_envs.cli.app import run_app

    sys.exit(run_app(arguments))
