"""Converts a checkpoint, confined: `python -I -S convert.py CHECKPOINT OUTPUT`. See `inside.checkpoints`.

Any Python from 3.8 does, with nothing installed; no code of the checkpoint's is run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def load_inside() -> None:
    """Import the folder of this script as a package of the name `inside`, as `entry.py` does."""
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "inside", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["inside"] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Convert the file that the command line names; returns the exit status."""
    sys.dont_write_bytecode = True  # where a file may not be large, Python keeps half of it, and believes it later
    load_inside()
    converting = importlib.import_module("inside.checkpoints.converting")
    status: int = converting.main(sys.argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
