"""Reading a large document without the garbage collector in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector.

    A parsed document holds no cycles, yet its millions of new objects make the collector look through all of them again
    and again: ten thousand models take twice as long to check, and nearly three times as long to outline.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
