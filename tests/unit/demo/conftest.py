"""The demo is a folder of scripts beside the package, imported here as ``demo.song`` and ``demo.sisdr``."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
if str(CHECKOUT) not in sys.path:
    sys.path.insert(0, str(CHECKOUT))
