"""Converts a checkpoint, confined: `python -I -S convert.py CHECKPOINT OUTPUT`. See `inside.checkpoints`.

Any Python from 3.8 does, with nothing installed; no code of the checkpoint's is run.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> int:
    """Convert the file that the command line names; returns the exit status."""
    sys.dont_write_bytecode = True  # where a file may not be large, Python keeps half of it, and believes it later
    # The folder of this script holds one package for it, and nothing that the standard library has as well.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    converting = importlib.import_module("inside.checkpoints.converting")
    status: int = converting.main(sys.argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
