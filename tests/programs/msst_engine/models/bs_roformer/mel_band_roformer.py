"""Stands in for a roformer with mel bands."""

from __future__ import annotations

from typing import Any

import torch
from librosa import filters
from torch import nn


class MelBandRoformer(nn.Module):
    """A gain for each mel band."""

    def __init__(
        self, dim: int, *, depth: int, stereo: bool = False, num_stems: int = 1, num_bands: int = 20,
        sample_rate: int = 44100, stft_n_fft: int = 2048, stft_hop_length: int = 512,
    ) -> None:  # fmt: skip
        super().__init__()
        bank = torch.from_numpy(filters.mel(sr=sample_rate, n_fft=stft_n_fft, n_mels=num_bands))
        self.register_buffer("bands", (bank > 0).float(), persistent=False)
        self.gains = nn.Parameter(torch.ones(num_bands))
        self.inner = nn.Sequential(*[nn.Linear(dim, dim) for _ in range(depth)])
        self.stft = {"n_fft": stft_n_fft, "hop_length": stft_hop_length}

    def forward(self, audio: Any) -> Any:
        """(batch, channels, frames) to the same."""
        window = torch.hann_window(self.stft["n_fft"])
        spectrum = torch.stft(audio.flatten(0, 1), window=window, return_complex=True, **self.stft)
        gain = torch.tanh(self.gains) @ self.bands
        made = torch.istft(spectrum * gain[:, None], window=window, **self.stft)
        return made.reshape(*audio.shape[:2], -1)
