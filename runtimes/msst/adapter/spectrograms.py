"""The two transforms of torchaudio that the BandIt models are built with, on torch's own STFT.

torchaudio has no build of its own for every torch, and beside a CPU torch the one of the ordinary index does not load.
The buffers have torchaudio's names, because checkpoints hold them.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

import torch
from torch import nn


class _Transform(nn.Module):  # type: ignore[misc]  # torch is not here to be asked
    def __init__(  # noqa: PLR0913, PLR0917 - torchaudio's
        self,
        n_fft: int = 400,
        win_length: Optional[int] = None,
        hop_length: Optional[int] = None,
        pad: int = 0,
        window_fn: Callable[..., Any] = torch.hann_window,
        power: Optional[float] = None,
        normalized: Any = False,
        wkwargs: Optional[Dict[str, Any]] = None,
        center: bool = True,
        pad_mode: str = "reflect",
        onesided: bool = True,
    ) -> None:
        super().__init__()
        if pad or power is not None or normalized not in (True, False, "window", "frame_length"):
            raise ValueError("only complex spectrograms without padding are made here")
        length = win_length or n_fft
        self.register_buffer("window", window_fn(length, **(wkwargs or {})))
        self._by_window = normalized in (True, "window")
        self._pad_mode = pad_mode
        self._stft = {
            "n_fft": n_fft,
            "hop_length": hop_length or length // 2,
            "win_length": length,
            "center": center,
            "normalized": normalized == "frame_length",
            "onesided": onesided,
        }

    @property
    def _scale(self) -> Any:
        return self.window.pow(2.0).sum().sqrt()


class Spectrogram(_Transform):
    """(…, frames) to complex (…, bins, stft_frames)."""

    def forward(self, waveform: Any) -> Any:
        """Divided by the window's energy where it is normalized."""
        flat = waveform.reshape(-1, waveform.shape[-1])
        made = torch.stft(flat, window=self.window, pad_mode=self._pad_mode, return_complex=True, **self._stft)
        made = made.reshape(*waveform.shape[:-1], *made.shape[-2:])
        if self._by_window:
            made /= self._scale
        return made


class InverseSpectrogram(_Transform):
    """Complex (…, bins, stft_frames) to (…, frames)."""

    def forward(self, spectrogram: Any, length: Optional[int] = None) -> Any:
        """`length` frames, or as many as there are."""
        if self._by_window:
            spectrogram = spectrogram * self._scale
        flat = spectrogram.reshape(-1, *spectrogram.shape[-2:])
        made = torch.istft(flat, window=self.window, length=length, **self._stft)
        return made.reshape(*spectrogram.shape[:-2], made.shape[-1])
