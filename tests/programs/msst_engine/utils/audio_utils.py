"""Levels of a track."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt  # noqa: F401 - for plots that are not drawn


def normalize_audio(audio: Any) -> tuple[Any, dict[str, Any]]:
    """Mean 0 and deviation 1 of the mono mix."""
    mono = audio.mean(0)
    mean, std = mono.mean(), mono.std()
    return (audio - mean) / std, {"mean": mean, "std": std}


def denormalize_audio(audio: Any, norm_params: dict[str, Any]) -> Any:
    """Undo it."""
    return audio * norm_params["std"] + norm_params["mean"]
