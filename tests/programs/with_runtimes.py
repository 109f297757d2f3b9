"""The command line with another folder of runtimes: ``with_runtimes.py FOLDER ARGUMENT…``."""

from __future__ import annotations

import sys
from pathlib import Path

from stemsep_envs.host import paths

folder = Path(sys.argv.pop(1))
shipped = paths.data_dir
paths.data_dir = lambda name: folder if name == "runtimes" else shipped(name)

from stemsep_envs.cli.entry import main  # noqa: E402 - it takes the function by name

main()
