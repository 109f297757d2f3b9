"""The `audio-separator` runtime: models of the `audio-separator` package (0.47.1), as Ultimate Vocal Remover runs them.

The package is made as a program: it looks for ffmpeg, fetches lists, downloads what it misses, unpickles it, and writes
files. Below that it has one class for each architecture, which knows how to load and to separate. These are what is
used: they are made here, of files that were verified before, given the decoded track, and what they would have written
is taken from them. So nothing of the program's own beginning runs: no list, no download, no ffmpeg.

    configs     what a model is made with: YAML, JSON, settings
    files       its files under the names that the engine looks for; checkpoints as data
    engines     the engine's objects, and the stems that they make
    settings    what can be asked for, in the units of each architecture
    watching    progress and cancelling, from inside the engine's loops
    separation  a track through one of them
"""

from __future__ import annotations

from typing import Any, Dict, List

from .configs import read_model_data
from .context import Context
from .engines import make_engine
from .files import Files
from .separation import Separation
from .settings import resolve


def describe() -> Dict[str, Any]:
    """What this runtime is made of: key packages, and devices."""
    packages = ["audio-separator", "torch", "onnxruntime", "onnxruntime-gpu", "numpy"]
    return {"packages": packages, "devices": _devices()}


def load(request: Dict[str, Any], context: Context) -> Separation:
    """The model that `request` asks for, with its weights on the device."""
    settings = resolve(request["model"]["model_type"], request["settings"], context)
    files = Files(request["artifacts"], context)
    data = read_model_data(settings, files, context)
    return Separation(make_engine(settings, files, data, request["device"], context), settings)


def _devices() -> List[str]:
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found
