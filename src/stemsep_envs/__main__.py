"""``python -m stemsep_envs``."""

import sys

# Python looks for modules in the folder that one stands in first. A click.py that lies there has no say here.
if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

from stemsep_envs.cli.entry import main

main()
