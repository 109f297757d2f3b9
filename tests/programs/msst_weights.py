"""Copies a checkpoint without what is no weight in it, which the engine's own strict loading refuses."""

from __future__ import annotations

import sys

import torch

given, wanted = sys.argv[1:]
state = torch.load(given, weights_only=False)
torch.save({name: value for name, value in state.items() if isinstance(value, torch.Tensor)}, wanted)
