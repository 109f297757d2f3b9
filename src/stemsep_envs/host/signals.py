"""The signals that ask this process to end."""

from __future__ import annotations

import signal

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a supervisor's request, a terminal that was closed."""
