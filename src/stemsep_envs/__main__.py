"""``python -m stemsep_envs``."""

import os
import sys

# Python looks for modules in the folder that one stands in first. A click.py that lies there has no say here.
sys.path[:] = [place for place in sys.path if place not in {"", os.getcwd()}]  # noqa: PTH109 - starts fast

from stemsep_envs.cli.entry import main  # noqa: E402

main()
