"""Small stand-ins for large packages of which the engine's inference uses a function or a base class.

    matplotlib         imported beside the audio functions, for plots that inference never draws
    librosa            the edges of a mel filter bank, and notes to hertz; 360 MB with numba and scipy
    torchaudio         two transforms: `spectrograms`; for HyperACE, whose files import it for nothing, none
    pytorch_lightning  a base class whose training half is not used
    spafe              filter banks that no published model asks for
    openunmix          a filter that demucs brings too; its own package imports torchaudio
    models.bandit.core a folder of the engine whose __init__ imports all that training takes

A stand-in is put in only where the real package is not installed, offers only what is listed here, and gives what the
real one gives to the last bit (`make test-msst` compares). Whatever else is asked of it is an ImportError that says so.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Dict

import numpy as np
from torch import nn

from . import spectrograms


class _StandIn(ModuleType):
    """A module that stands in for a package that is not installed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")


class _Absent:
    """What a stand-in does not offer: it can be imported, and says what it is when it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self._name}.{name}")

    def __call__(self, *_args: Any, **_options: Any) -> Any:
        raise ImportError(f"{self._name} is not installed here: inference of published models was not found to need it")


def install(model_type: str) -> None:
    """Let the engine import what it does not need."""
    _put("matplotlib", {"pyplot": {}})
    _put("librosa", {"": {"hz_to_midi": hz_to_midi, "midi_to_hz": midi_to_hz}, "filters": {"mel": mel}})
    if model_type == "bs_roformer":
        _put("torchaudio", {})  # the module files of HyperACE import it, and use nothing of it
    if model_type.startswith("bandit"):
        transforms = {
            "Spectrogram": spectrograms.Spectrogram,
            "InverseSpectrogram": spectrograms.InverseSpectrogram,
        }
        _put("torchaudio", {"transforms": transforms, "functional": {}, "functional.functional": {}})
        _put("pytorch_lightning", {"": {"LightningModule": type("LightningModule", (nn.Module,), {})}})
        _put("spafe", {"fbanks": {}, "fbanks.bark_fbanks": {}, "utils": {}, "utils.converters": {}})
    if model_type == "bandit":
        _bare("models.bandit.core")
    if model_type == "htdemucs":
        _put("openunmix", {"filtering": {"wiener": _wiener}})


def _put(name: str, modules: Dict[str, Dict[str, Any]]) -> None:
    """Make the package `name` of these modules, by their names in it; what "" has is its own."""
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    package = _module(name, modules.get("", {}))
    for path, members in modules.items():
        if path:
            parent, _, last = f"{name}.{path}".rpartition(".")
            setattr(sys.modules[parent], last, _module(f"{name}.{path}", members))
    package.__doc__ = "A stand-in: the package is not installed."


def _module(name: str, members: Dict[str, Any]) -> _StandIn:
    module = _StandIn(name)
    module.__path__ = []
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def _bare(name: str) -> None:
    """Let modules of a package of the engine be imported without its __init__."""
    if name in sys.modules:
        return
    parent, _, last = name.rpartition(".")
    module = ModuleType(name)
    module.__path__ = [os.path.join(folder, last) for folder in importlib.import_module(parent).__path__]
    sys.modules[name] = module


def _wiener(*args: Any, **options: Any) -> Any:
    return importlib.import_module("demucs.wiener").wiener(*args, **options)


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
