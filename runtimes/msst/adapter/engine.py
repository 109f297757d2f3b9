"""The engine's own modules: imported once, asked for the model and for the functions that `demix` is made of."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from typing import Any, Dict, Iterator, List

import numpy as np
import torch

from . import devices, stand_ins
from .failures import AdapterError

DEMUCS_MODE = ("htdemucs",)
"""Model types for which the engine's `demix` has another mode: no borders, no fades."""


class EngineError(AdapterError):
    """The engine cannot build the model."""


def mode_of(model_type: str) -> str:
    """`demucs` or `generic`, the two ways of the engine's `demix`."""
    return "demucs" if model_type in DEMUCS_MODE else "generic"


def prepare(model_type: str) -> None:
    """Make the engine importable for a model type."""
    stand_ins.install(model_type)


def build(config: Dict[str, Any], model_type: str) -> Any:
    """The model that the engine builds from the config, without its weights: what they are is left to chance.

    Every parameter must be loaded afterwards.
    """
    settings: Any = importlib.import_module("utils.settings")
    # The engine reads the config from a path; it was read already, by a reader that constructs nothing.
    own_reader = settings.load_config
    settings.load_config = lambda _model_type, _path: engine_config(config, model_type)
    try:
        with _no_initial_values(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module, _ = settings.get_model_from_config(model_type, "")
    except ImportError as error:
        raise EngineError(
            f"a {model_type} needs what this environment does not have: {error}",
            "Name the package in requirements.packages of the registry entry.",
        ) from error
    except Exception as error:
        if isinstance(error, MemoryError) or devices.is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:500]
        raise EngineError(
            f"the engine cannot build a {model_type} from the config: {type(error).__name__}: {reason}",
            "The config does not fit this commit of the engine, or is that of another type of model.",
        ) from error
    finally:
        settings.load_config = own_reader
    return module


def engine_config(config: Dict[str, Any], model_type: str) -> Any:
    """The config as the engine's own reader gives it."""
    if mode_of(model_type) == "demucs":
        return importlib.import_module("omegaconf").OmegaConf.create(config)
    return importlib.import_module("ml_collections").ConfigDict(config)


def window(chunk_frames: int, fade_frames: int) -> Any:
    """The engine's fade window, float32 (chunk_frames,)."""
    # The name is the engine's own.
    make = importlib.import_module("utils.model_utils")._getWindowingArray  # noqa: SLF001
    return make(chunk_frames, fade_frames).numpy()


def shifted(config: Dict[str, Any], model_type: str, model: Any, mix: Any, shifts: int, device: str) -> List[Any]:
    """The engine's average over circular shifts of the whole track: one (channels, frames) for each instrument."""
    average = importlib.import_module("utils.model_utils").bigshifts_wrapper
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = average(engine_config(config, model_type), model, mix, device, model_type, bigshifts=shifts)
    return list(found.values()) if isinstance(found, dict) else list(found)


def normalized(mix: Any) -> Any:
    """The mix at mean 0 and deviation 1, and what undoes that."""
    functions = importlib.import_module("utils.audio_utils")
    with np.errstate(all="ignore"):
        return functions.normalize_audio(mix)


def denormalized(stem: Any, parameters: Any) -> Any:
    """A stem at the level of the mix again."""
    return importlib.import_module("utils.audio_utils").denormalize_audio(stem, parameters)


_INITIALIZERS = (
    "uniform_", "normal_", "trunc_normal_", "constant_", "ones_", "zeros_", "eye_", "dirac_", "xavier_uniform_",
    "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "sparse_",
)  # fmt: skip


@contextlib.contextmanager
def _no_initial_values() -> Iterator[None]:
    """Leave out the drawing of initial weights, half a second to two of building: all of them are loaded next."""
    kept = {name: getattr(torch.nn.init, name) for name in _INITIALIZERS if hasattr(torch.nn.init, name)}
    for name in kept:
        setattr(torch.nn.init, name, _untouched)
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(torch.nn.init, name, function)


def _untouched(tensor: Any, *_args: Any, **_options: Any) -> Any:
    return tensor
