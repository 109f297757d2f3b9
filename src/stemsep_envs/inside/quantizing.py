"""Float samples to whole numbers of 16 or 24 bits, without changing their level.

16 bits are dithered with triangular noise of ±1 step (TPDF: Lipshitz, Wannamaker, Vanderkooy, "Quantization and
dither", JAES 40(5), 1992), so that what falls below the last bit becomes a steady noise instead of distortion. The
noise is seeded: the same stem gives the same bytes. Samples that are exactly zero stay zero: silence stays silence.
24 bits are rounded only: the last bit is far below the noise of any recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_SEED = 0x5EED


def highest(bits: int) -> float:
    """The largest positive sample; the negative side reaches -1.0 at any depth."""
    return 1.0 - 2.0 ** (1 - bits)


class Quantizer:
    """Blocks (frames, channels) of one stem, in order, to int32 values of `bits` bits."""

    def __init__(self, bits: int) -> None:
        self._steps = 2 ** (bits - 1)
        self._noise: Optional[np.random.Generator] = np.random.default_rng(_SEED) if bits == 16 else None

    def __call__(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Whole numbers from -2^(bits-1) to 2^(bits-1) - 1."""
        # A power of two: exact in float32.
        scaled = block * np.float32(self._steps)
        if self._noise is not None:
            # Drawn sample by sample, so that the noise does not depend on where blocks end.
            noise = self._noise.random((*block.shape, 2), dtype=np.float32)
            scaled += np.where(block == 0, np.float32(0), noise[..., 0] - noise[..., 1])
        np.rint(scaled, out=scaled)
        whole: npt.NDArray[np.int32] = np.clip(scaled, -self._steps, self._steps - 1).astype(np.int32)
        return whole
