"""The gain of a track: one for all its stems, so that they still add up to the input.

Unless the user asks for a level (normalizing), it avoids clipping alone, and is 1 where nothing would clip.
"""

from __future__ import annotations

import math
from typing import Optional, Tuple

NORMALIZED_PEAK = 10.0 ** (-1.0 / 20.0)  # -1 dBFS


def common_gain(low: float, high: float, highest: Optional[float], normalize: bool) -> Tuple[float, Optional[str]]:
    """One linear gain and why: "normalize", "clipping", or None where samples stay as they are.

    Args:
        low: The lowest sample of all stems, not above 0; full scale is -1.
        high: The highest, not below 0.
        highest: The largest positive sample that the files can hold; None for float, which holds any.
        normalize: Whether the track is to peak at `NORMALIZED_PEAK`.
    """
    if normalize:
        peak = max(high, -low)
        return (NORMALIZED_PEAK / peak, "normalize") if _invertible(peak) else (1.0, None)
    if highest is None:
        return 1.0, None
    # Whole numbers reach one step further down than up.
    gain = min(highest / max(high, highest), 1.0 / max(-low, 1.0))
    return (gain, "clipping") if gain < 1.0 else (1.0, None)


def _invertible(peak: float) -> bool:
    return peak > 0 and math.isfinite(NORMALIZED_PEAK / peak)
