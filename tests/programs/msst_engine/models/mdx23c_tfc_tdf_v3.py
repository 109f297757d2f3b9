"""Stands in for MDX23C: it takes the whole config."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from utils.model_utils import prefer_target_instrument


class TFC_TDF_net(nn.Module):  # noqa: N801
    """One convolution a stem."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        stems, channels = len(prefer_target_instrument(config)), config.audio.num_channels
        self.stems = stems
        self.layer = nn.Conv1d(channels, stems * channels, 2 * config.model.num_scales + 1, padding="same")

    def forward(self, audio: Any) -> Any:
        """(batch, channels, frames) to (batch, stems, channels, frames)."""
        made = torch.tanh(self.layer(audio))
        return made.reshape(audio.shape[0], self.stems, audio.shape[1], audio.shape[2])
