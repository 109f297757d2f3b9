"""Separation of a whole track in memory: chunks, windows, overlap-add; averages over shifts and augmentations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad


def prefer_target_instrument(config: Any) -> list[str]:
    """The stems that a model computes."""
    target = config.training.get("target_instrument")
    return [target] if target else list(config.training.instruments)


def _getWindowingArray(window_size: int, fade_size: int) -> Any:  # noqa: N802
    window = torch.ones(window_size)
    window[-fade_size:] = torch.linspace(1, 0, fade_size)
    window[:fade_size] = torch.linspace(0, 1, fade_size)
    return window


def demix(config: Any, model: Any, mix: Any, device: Any, model_type: str, pbar: bool = False) -> Any:
    """Separate a track (channels, frames) into a dict of stems."""
    demucs = model_type == "htdemucs"
    mix = torch.as_tensor(np.ascontiguousarray(mix), dtype=torch.float32)
    if demucs:
        chunk = config.training.samplerate * config.training.segment
        names = list(config.training.instruments)
    else:
        chunk = config.inference.get("chunk_size", None) or config.audio.chunk_size
        names = prefer_target_instrument(config)
    step = chunk // config.inference.num_overlap
    border = 0 if demucs else chunk - step
    fade = chunk // 10
    frames = mix.shape[-1]
    bordered = border > 0 and frames > 2 * border
    if bordered:
        mix = pad(mix, (border, border), mode="reflect")
    total = mix.shape[-1]
    result = torch.zeros(len(names), *mix.shape)
    counter = torch.zeros(len(names), *mix.shape)
    starts = list(range(0, total, step))
    with torch.inference_mode():
        for first in range(0, len(starts), config.inference.batch_size):
            batch = starts[first : first + config.inference.batch_size]
            made = model(torch.stack([_filled(mix[:, start : start + chunk], chunk, demucs) for start in batch]))
            window = torch.ones(chunk) if demucs else _getWindowingArray(chunk, fade)
            if not demucs and batch[-1] == 0:
                window[:fade] = 1
            elif not demucs and batch[-1] == starts[-1]:
                window[-fade:] = 1
            for start, estimate in zip(batch, made):
                stop = min(start + chunk, total)
                result[..., start:stop] += estimate[..., : stop - start] * window[: stop - start]
                counter[..., start:stop] += window[: stop - start]
    stems = np.nan_to_num((result / counter).numpy(), copy=False, nan=0.0)
    if bordered:
        stems = stems[..., border:-border]
    return dict(zip(names, stems))


def _filled(part: Any, chunk: int, demucs: bool) -> Any:
    mirrored = not demucs and part.shape[-1] > chunk // 2
    return pad(part, (0, chunk - part.shape[-1]), mode="reflect" if mirrored else "constant")


def bigshifts_wrapper(
    config: Any, model: Any, mix: Any, device: Any, model_type: str, pbar: bool = False, bigshifts: int = 1
) -> Any:
    """Average over circular shifts."""
    count = max(1, bigshifts)
    found = []
    for index in range(count):
        shift = index * (mix.shape[1] // count)
        stems = demix(config, model, np.roll(mix, shift, axis=1), device, model_type)
        found.append({name: np.roll(stem, -shift, axis=-1) for name, stem in stems.items()})
    return {name: np.mean([stems[name] for stems in found], axis=0) for name in found[0]}


def apply_tta(
    config: Any, model: Any, mix: Any, stems: Any, device: Any, model_type: str, bigshifts: int = 1, pbar: bool = False
) -> Any:
    """Average with the results of swapped channels and of the inverted track."""
    swapped = bigshifts_wrapper(config, model, mix[::-1].copy(), device, model_type, bigshifts=bigshifts)
    inverted = bigshifts_wrapper(config, model, -mix, device, model_type, bigshifts=bigshifts)
    return {name: ((stem + swapped[name][::-1]) - inverted[name]) / 3 for name, stem in stems.items()}


def load_start_checkpoint(args: Any, model: Any, old_model: Any, type_: str = "train") -> None:
    """Load weights strictly, from wherever they are in a checkpoint."""
    for key in ("state", "state_dict", "model_state_dict"):
        old_model = old_model.get(key, old_model)
    model.load_state_dict(old_model)
