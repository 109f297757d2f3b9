"""Makes tiny models of the demucs package with random weights: run inside an environment that has it.

    python tiny_demucs.py FOLDER

For each model a checkpoint as the package writes and names them, and the same as safetensors; and a bag of two.
"""

from __future__ import annotations

import hashlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

SOURCES = ["drums", "bass", "other", "vocals"]
TRANSFORMER: dict[str, Any] = {
    "channels": 8,
    "growth": 2,
    "nfft": 1024,
    "depth": 3,
    "t_layers": 1,
    "t_heads": 2,
    "t_hidden_scale": 1.0,
    "bottom_channels": 16,
    "segment": Fraction(13, 20),  # the real ones have 39/5
}
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ht": (HTDemucs, TRANSFORMER),
    "htb": (HTDemucs, TRANSFORMER),
    "hd": (HDemucs, {"channels": 4, "depth": 4, "nfft": 1024, "segment": 0.8}),
    "de": (Demucs, {"channels": 4, "depth": 3, "lstm_layers": 1, "segment": 0.8}),
}
BAG = "models: ['ht', 'htb']\nweights: [[1.0, 0.5, 1.0, 1.0], [0.0, 1.0, 1.0, 2.0]]\n"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (cls, kwargs)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        state = {key: value.detach().clone() for key, value in cls(SOURCES, **kwargs).state_dict().items()}
        if name == "htb":  # published ones are in half precision
            state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        package = {"klass": cls, "args": (SOURCES,), "kwargs": kwargs, "state": state, "training_args": {"seed": seed}}
        torch.save(package, folder / "new.th")
        digest = hashlib.sha256((folder / "new.th").read_bytes()).hexdigest()[:8]
        (folder / "new.th").rename(folder / f"{name}-{digest}.th")
        metadata = {
            "klass": f"{cls.__module__}.{cls.__qualname__}",
            "args": json.dumps([SOURCES]),
            "kwargs": json.dumps(kwargs, default=fraction),
        }
        save_file(state, folder / f"{name}.safetensors", metadata)
        if name == "ht":
            write_broken(folder, package)
    (folder / "bag.yaml").write_text(BAG)


def write_broken(folder: Path, package: dict[str, Any]) -> None:
    """Checkpoints that are none, or not of the model that they describe."""
    state = package["state"]
    first = next(iter(state))
    broken = {
        "bare": state,
        "missing": {**package, "state": {key: value for key, value in state.items() if key != first}},
        "shape": {**package, "state": {**state, first: torch.zeros(3)}},
        "other": {**package, "klass": Fraction},
        "strange": {**package, "kwargs": {**package["kwargs"], "channels": Path("here")}},
        "quantized": {**package, "state": {**state, "__quantized": True}},
    }
    (folder / "broken").mkdir(exist_ok=True)
    for name, content in broken.items():
        torch.save(content, folder / "broken" / f"{name}.th")


def fraction(value: Fraction) -> dict[str, Any]:
    return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
