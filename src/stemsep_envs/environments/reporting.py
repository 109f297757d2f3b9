"""Telling of steps as they begin."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, str], None]
"""Told of each step as it begins: a word for the step, and the detail in words."""


def silent(step: str, detail: str) -> None:
    """Report to nobody."""
