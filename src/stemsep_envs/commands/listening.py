"""What commands tell of while they work, and to whom."""

from __future__ import annotations

from collections.abc import Callable

from stemsep_envs.documents.events import Event

OnEvent = Callable[[Event], None]
"""Told of each step, and of a worker's log and progress, as it comes."""


def ignore_event(_: Event) -> None:
    """Tell nobody."""
