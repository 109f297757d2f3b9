"""Stands in for the module files of roformer variants, which replace the engine's: tests set `KIND` and the imports.

The weights have the names that tell the real ones apart, and the config's arguments are those that the real ones know.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from models.bs_roformer.attend import Attend

try:
    from models.bs_roformer.attend_sage import Attend as AttendSage
except:
    pass
import torchaudio

KIND = "hyperace_v1"


class Block(nn.Module):
    def __init__(self, channels: int, second: bool) -> None:
        super().__init__()
        self.conv = nn.Linear(channels, channels)
        if second:
            self.out_conv = nn.Linear(channels, channels)

    def forward(self, x: Any) -> Any:
        made = self.conv(x)
        return torch.tanh(self.out_conv(made)) if hasattr(self, "out_conv") else made


class Segmenter(nn.Module):
    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.backbone = nn.Linear(dim, channels)
        self.upsample_head = nn.ModuleDict({"block1": Block(channels, KIND == "hyperace_v2")})

    def forward(self, x: Any) -> Any:
        return self.upsample_head["block1"](self.backbone(x))


class Operator(nn.Module):
    """Like those of neuraloperator, it puts its arguments into the state dict, a function among them."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.fno_blocks = nn.ModuleDict({"convs": nn.Linear(dim, channels)})

    def forward(self, x: Any) -> Any:
        return nn.functional.gelu(self.fno_blocks["convs"](x))

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        state = super().state_dict(*arguments, **options)
        state["_metadata"] = {"non_linearity": nn.functional.gelu, "args": ()}
        return state


class MaskEstimator(nn.Module):
    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        made = Operator(dim, channels) if KIND == "fno" else nn.Linear(dim, channels)
        self.to_freqs = nn.ModuleList([nn.Sequential(made)])
        if KIND.startswith("hyperace"):
            self.segm = Segmenter(dim, channels)

    def forward(self, x: Any) -> Any:
        mask = self.to_freqs[0](x)
        return torch.sigmoid(mask + self.segm(x) if hasattr(self, "segm") else mask)


class BSRoformer(nn.Module):
    def __init__(
        self,
        dim: int,
        *,
        depth: int,
        stereo: bool = False,
        freqs_per_bands: Any = (64, 65),
        sage_attention: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.bins = 2 if stereo else 1, sum(freqs_per_bands)
        values = self.bins * self.channels * 2
        self.band_split = nn.Linear(values, dim)
        self.layers = nn.ModuleList([nn.Linear(dim, dim) for _ in range(depth)])
        self.attend = Attend()
        self.mask_estimators = nn.ModuleList([MaskEstimator(dim, values)])

    def forward(self, audio: Any) -> Any:
        """(batch, channels, frames) to the same."""
        options = {
            "n_fft": 2 * self.bins - 2,
            "hop_length": self.bins // 2,
            "window": torch.hann_window(2 * self.bins - 2),
        }
        batch, channels, frames = audio.shape
        spectrum = torch.view_as_real(torch.stft(audio.flatten(0, 1), return_complex=True, **options))
        x = spectrum.reshape(batch, channels, *spectrum.shape[1:]).permute(0, 3, 2, 1, 4).flatten(2)
        hidden = self.band_split(x)
        for layer in self.layers:
            hidden = self.attend(layer(hidden)) + hidden
        masked = (self.mask_estimators[0](hidden) * x).reshape(batch, -1, self.bins, channels, 2)
        masked = masked.permute(0, 3, 2, 1, 4).flatten(0, 1).contiguous()
        return torch.istft(torch.view_as_complex(masked), length=frames, **options).reshape(batch, channels, frames)
