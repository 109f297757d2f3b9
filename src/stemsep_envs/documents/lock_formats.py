"""The formats that locks are written in for others."""

from __future__ import annotations

from typing import Literal, get_args

LockFormat = Literal["requirements", "pylock"]
"""``requirements``: hashed requirements text, as locks are kept; ``pylock``: PEP 751."""

LOCK_FORMATS: tuple[LockFormat, ...] = get_args(LockFormat)
