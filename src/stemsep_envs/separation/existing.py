"""What is done where the outputs of a run are there already (`separation.track_plan` does it)."""

from __future__ import annotations

from typing import Literal, get_args

Existing = Literal["skip", "error", "overwrite", "rename"]
"""``skip`` what the same request made, refuse (``error``), replace (``overwrite``) or write beside (``rename``)."""

EXISTING: tuple[Existing, ...] = get_args(Existing)
