"""What all failures of this adapter have in common: a message and what to do next."""

from __future__ import annotations

from typing import Optional


class AdapterError(Exception):
    """Something that its user can act on."""

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.hint = hint


def listed(names: object, most: int = 8) -> str:
    """The first names of an iterable, and how many more there are."""
    every = [str(name) for name in names]  # type: ignore[attr-defined]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
