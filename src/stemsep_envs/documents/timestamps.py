"""Points in time as documents write them."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_text(seconds: float | None) -> str | None:
    """Write a time, in seconds since 1970, as ``2026-01-31T12:00:00Z``; None for none."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
