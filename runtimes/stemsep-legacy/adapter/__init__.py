"""The `stemsep-legacy` runtime: models of the `demucs` package (4.1), single ones and bags.

The package's own functions separate (`demucs.apply.apply_model`), on a track normalised as its command line does, so
that the stems are its own, sample for sample. What is different is how a model comes to be: the package unpickles
whatever a file says, here a checkpoint is read as data and the model is built from what is known to be a model.

    packages    a checkpoint as a model: which classes, which arguments, which weights
    bags        a model from a YAML file and the checkpoints that it names
    settings    what can be asked for, against what the model allows
    separation  a track through the model
"""

from __future__ import annotations

from typing import Any, Dict, List

from .bags import load_model
from .context import Context
from .separation import Separation
from .settings import resolve


def describe() -> Dict[str, Any]:
    """What this runtime is made of: key packages, and devices."""
    return {"packages": ["demucs", "torch", "numpy"], "devices": _devices()}


def load(request: Dict[str, Any], context: Context) -> Separation:
    """The model that `request` asks for, with its weights on the device."""
    model = load_model(request, context)
    settings = resolve(model, request["settings"], context)
    return Separation(model, request["device"], settings)


def _devices() -> List[str]:
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found.append("xpu")
    return found
