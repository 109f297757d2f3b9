"""``python -m stemsep_envs``."""

from stemsep_envs.cli.entry import main

main()
