"""The signals that ask this process to end, and holding them back while something must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a supervisor's request, a terminal that was closed."""


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Hold back Ctrl-C and the like until the block is done: a child that was started and not yet noted would live on.

    The mask that blocks signals would be inherited by the child, so handlers are set aside instead.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread alone
        return
    came: list[tuple[int, FrameType | None]] = []
    aside: dict[signal.Signals, Callable[[int, FrameType | None], object]] = {}
    for number in ENDING_SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            aside[number] = handler
            signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in aside.items():
            signal.signal(number, handler)
        if came:
            first, frame = came[0]
            aside[signal.Signals(first)](first, frame)
