"""Small pieces of sentences that several messages and helps need."""

from __future__ import annotations

from collections.abc import Iterable


def either(words: Iterable[str]) -> str:
    """Return alternatives as a sentence has them: ``cpu``, ``cpu or mps``, ``cu128, mps or cpu``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
