"""Small stand-ins for large packages of which the engine's inference uses a function or a base class.

    matplotlib    imported beside the audio functions, for plots that inference never draws
    librosa       the edges of a mel filter bank, and notes to hertz; with numba and scipy 360 MB and a second of import

A stand-in is put in only where the real package is not installed, offers only what is listed here, and gives what the
real one gives to the last bit (`make test-msst` compares). Whatever else is asked of it is an AttributeError that says
so.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any, Dict, Optional

import numpy as np


class _StandIn(ModuleType):
    """A module that stands in for a package that is not installed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{self.__name__} is not installed here, and inference was not found to need its {name!r}")


def install() -> None:
    """Let the engine import what it does not need."""
    _put("matplotlib", {"pyplot": {}})
    _put("librosa", {"filters": {"mel": mel}}, {"hz_to_midi": hz_to_midi, "midi_to_hz": midi_to_hz})


def _put(name: str, children: Dict[str, Dict[str, Any]], members: Optional[Dict[str, Any]] = None) -> None:
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    package = _module(name, members or {})
    package.__path__ = []
    for child, contents in children.items():
        setattr(package, child, _module(f"{name}.{child}", contents))


def _module(name: str, members: Dict[str, Any]) -> _StandIn:
    module = _StandIn(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


# Slaney's mel scale: linear below 1000 Hz (200/3 Hz a mel), logarithmic above (27 mels for each factor of 6.4).
_HERTZ_PER_MEL = 200.0 / 3
_BREAK_HERTZ = 1000.0
_BREAK_MEL = _BREAK_HERTZ / _HERTZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def mel(*, sr: float, n_fft: int, n_mels: int = 128) -> Any:
    """A bank of triangular filters (n_mels, 1 + n_fft // 2), float32, each of the same area.

    The engine looks only at which bins are above zero.
    """
    bins = np.fft.rfftfreq(n=n_fft, d=1.0 / sr)
    highest = float(sr) / 2
    top = highest / _HERTZ_PER_MEL
    if highest >= _BREAK_HERTZ:
        top = _BREAK_MEL + np.log(highest / _BREAK_HERTZ) / _LOG_STEP
    mels = np.linspace(0.0, top, n_mels + 2)
    edges = _HERTZ_PER_MEL * mels
    above = mels >= _BREAK_MEL
    edges[above] = _BREAK_HERTZ * np.exp(_LOG_STEP * (mels[above] - _BREAK_MEL))

    distances = np.subtract.outer(edges, bins)
    widths = np.diff(edges)
    filters = np.empty((n_mels, len(bins)), np.float32)
    for index in range(n_mels):
        rising = -distances[index] / widths[index]
        falling = distances[index + 2] / widths[index + 1]
        filters[index] = np.maximum(0, np.minimum(rising, falling))
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]
    return filters


def hz_to_midi(frequencies: Any) -> Any:
    """MIDI note numbers, not rounded."""
    return 12 * (np.log2(np.asanyarray(frequencies)) - np.log2(440.0)) + 69


def midi_to_hz(notes: Any) -> Any:
    """Frequencies in hertz of MIDI note numbers."""
    return 440.0 * (2.0 ** ((np.asanyarray(notes) - 69.0) / 12.0))
