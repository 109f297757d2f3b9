"""Runs in an msst environment: the adapter's chunks against the engine's `demix`, on random grids and lengths.

Prints how many cases were the same; ends with 1 and the case at the first difference.
"""

from __future__ import annotations

import importlib
import random
import sys
import warnings
from typing import Any

import numpy as np
import torch

cases = int(sys.argv[1])
chunks: Any = importlib.import_module("adapter.chunks")
engine: Any = importlib.import_module("adapter.engine")
functions: Any = importlib.import_module("utils.model_utils")
warnings.filterwarnings("ignore")


def model(batch: Any) -> Any:
    """Two stems that depend on where in the chunk a sample is, and on the samples before it."""
    ramp = torch.linspace(0.5, 1.5, batch.shape[-1])
    before = torch.cat([batch[..., :1], batch[..., :-1]], dim=-1)
    return torch.stack([batch * ramp, torch.tanh(batch + before)], dim=1)


def same(pick: random.Random) -> bool:
    demucs = pick.random() < 0.3
    chunk = 10 * pick.randint(1, 30) if demucs else pick.randint(10, 300)
    overlap = pick.randint(1, min(8, chunk))
    frames, batch = pick.choice([pick.randint(2, 1500), chunk, 2 * (chunk - chunk // overlap) + 1]), pick.randint(1, 5)
    channels, seed = pick.randint(1, 2), pick.randint(0, 1000)
    frames = max(2, frames)
    config = {
        "audio": {"chunk_size": chunk},
        "training": {"instruments": ["a", "b"], "samplerate": 10, "segment": chunk // 10, "use_amp": True},
        "inference": {"num_overlap": overlap, "batch_size": batch},
    }
    model_type = "htdemucs" if demucs else "bs_roformer"
    mix = np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)
    found = functions.demix(engine.engine_config(config, model_type), model, mix, "cpu", model_type)
    expected = np.stack([found["a"], found["b"]])
    grid = chunks.Grid(chunk, chunk // overlap, batch, demucs)
    window = np.ones(chunk, np.float32) if demucs else engine.window(chunk, grid.fade)
    position = 0

    def read(count: int) -> Any:
        nonlocal position
        block = mix[:, position : position + count]
        position += block.shape[1]
        return block

    blocks = chunks.separate(read, grid, window, lambda part: model(torch.from_numpy(part)).numpy(), 2)
    streamed = np.concatenate(list(blocks), axis=-1)
    if np.array_equal(streamed, expected):
        return True
    print("differs:", model_type, "channels", channels, "frames", frames, "seed", seed, grid)
    return False


generator = random.Random(7)
for _ in range(cases):
    if not same(generator):
        sys.exit(1)
print(cases, "same")
