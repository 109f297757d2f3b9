"""The console script: answers in the fewest imports that will do.

``--version`` and ``--help`` need next to none, ``ensure`` few when nothing has changed; all else loads the commands.
"""

from __future__ import annotations

import os
import sys

_COLLECT_AFTER = 50_000
"""Objects made between two looks for garbage. Loading makes a hundred thousand that stay, and by default the collector
looks through all of them again and again."""


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["--version"], ["--help"], ["-h"]):
        from stemsep_envs.cli.overview import answer as answer_overview

        code = answer_overview(arguments)
        if code is not None:
            sys.exit(code)
    elif arguments[:1] == ["ensure"]:
        from stemsep_envs.cli.ensure_cache import answer

        try:
            code = answer(arguments[1:])
        except KeyboardInterrupt:  # while it waited for another process
            code = 130
        if code is not None:
            sys.exit(code)
    import gc

    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    # What else is installed beside this program has no say in how documents are read; looking for it takes time too.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "true"
    try:
        from stemsep_envs.cli.app import run_app

        code = run_app(arguments)
    except KeyboardInterrupt:  # while all this was being loaded
        code = 130
    gc.freeze()  # the process ends: there is no garbage worth looking for
    sys.exit(code)
