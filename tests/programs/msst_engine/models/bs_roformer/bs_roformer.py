"""Stands in for a band-split roformer."""

from __future__ import annotations

from typing import Any

import torch
from beartype import beartype
from beartype.typing import Tuple
from einops import rearrange
from rotary_embedding_torch import RotaryEmbedding
from torch import nn


class BSRoformer(nn.Module):
    """STFT, one layer of attention over time, a mask for each stem."""

    @beartype
    def __init__(
        self,
        dim: int,
        *,
        depth: int,
        stereo: bool = False,
        num_stems: int = 1,
        freqs_per_bands: Tuple[int, ...] = (64, 65),
        stft_n_fft: int = 256,
        stft_hop_length: int = 64,
        zero_dc: bool = True,
        use_pope: bool = False,
    ) -> None:
        super().__init__()
        bins = stft_n_fft // 2 + 1
        assert sum(freqs_per_bands) == bins, f"the bands must hold {bins} bins"
        self.channels, self.stems = 2 if stereo else 1, num_stems
        self.stft = {"n_fft": stft_n_fft, "hop_length": stft_hop_length}
        self.rotary = RotaryEmbedding(dim=dim)
        self.bands = nn.Linear(bins * self.channels * 2, dim)
        self.layers = nn.ModuleList([nn.Linear(dim, 3 * dim) for _ in range(depth)])
        self.masks = nn.ModuleList([nn.Linear(dim, bins * self.channels * 2) for _ in range(num_stems)])

    def forward(self, audio: Any) -> Any:
        """(batch, channels, frames) to (batch, [stems,] channels, frames)."""
        batch, channels, frames = audio.shape
        assert channels == self.channels
        window = torch.hann_window(self.stft["n_fft"])
        flat = rearrange(audio, "b c t -> (b c) t")
        spectrum = torch.view_as_real(torch.stft(flat, window=window, return_complex=True, **self.stft))
        x = rearrange(spectrum, "(b c) f t r -> b t (f c r)", b=batch)
        hidden = self.bands(x)
        for layer in self.layers:
            query, key, value = layer(hidden).chunk(3, dim=-1)
            query = self.rotary.rotate_queries_or_keys(query[:, None])
            key = self.rotary.rotate_queries_or_keys(key[:, None])
            hidden = hidden + nn.functional.scaled_dot_product_attention(query, key, value[:, None])[:, 0]
        stems = []
        for mask in self.masks:
            masked = rearrange(torch.sigmoid(mask(hidden)) * x, "b t (f c r) -> (b c) f t r", c=channels, r=2)
            made = torch.istft(torch.view_as_complex(masked.contiguous()), window=window, length=frames, **self.stft)
            stems.append(rearrange(made, "(b c) t -> b c t", b=batch))
        return torch.stack(stems, dim=1) if self.stems > 1 else stems[0]
