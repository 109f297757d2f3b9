"""What ``make bench`` runs: ``python benchmarks/run.py [--rows NAME,...] [--quick]``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.main import main

sys.exit(main())
