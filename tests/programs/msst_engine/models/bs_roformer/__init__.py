"""Roformers that are none: a few layers that see time and channels."""

from models.bs_roformer.bs_roformer import BSRoformer
from models.bs_roformer.mel_band_roformer import MelBandRoformer

__all__ = ["BSRoformer", "MelBandRoformer"]
