"""Stands in for HTDemucs."""

from __future__ import annotations

from typing import Any

from openunmix.filtering import wiener  # noqa: F401 - as the engine does
from torch import nn


def get_model(config: Any) -> Any:
    """Build the model of a config."""
    return HTDemucs(len(config.training.instruments), **config[config.model])


class HTDemucs(nn.Module):
    """One convolution a stem."""

    def __init__(self, stems: int, channels: int = 2) -> None:
        super().__init__()
        self.stems = stems
        self.layer = nn.Conv1d(channels, stems * channels, 9, padding="same")

    def forward(self, audio: Any) -> Any:
        """(batch, channels, frames) to (batch, stems, channels, frames)."""
        return self.layer(audio).reshape(audio.shape[0], self.stems, audio.shape[1], audio.shape[2])
