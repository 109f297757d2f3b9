"""What the config hands to the constructor of the engine's class, checked before anything is built.

Engines differ in which arguments they know: `zero_dc` and `use_pope` came with one commit, `sage_attention` went with
it. Without this a model ends in a TypeError that names one argument at a time, after seconds of building.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from typing import Any, Dict, List, NamedTuple

from .config import section
from .failures import AdapterError, listed


class ArgumentsError(AdapterError):
    """A config that the engine's class cannot be built from."""


class Constructor(NamedTuple):
    """A class of the engine that takes a section of the config as keyword arguments."""

    module: str
    name: str
    section: str = "model"


CONSTRUCTORS: Dict[str, Constructor] = {
    "apollo": Constructor("models.look2hear.models.apollo", "Apollo"),
    "bandit": Constructor("models.bandit.core.model", "MultiMaskMultiSourceBandSplitRNNSimple"),
    "bandit_v2": Constructor("models.bandit_v2.bandit", "Bandit", "kwargs"),
    "bs_conformer": Constructor("models.bs_roformer", "BSConformer"),
    "bs_roformer": Constructor("models.bs_roformer", "BSRoformer"),
    "bs_roformer_experimental": Constructor("models.bs_roformer.bs_roformer_experimental", "BSRoformer"),
    "conformer": Constructor("models.conformer_model", "NeuralModel"),
    "mel_band_conformer": Constructor("models.bs_roformer", "MelBandConformer"),
    "mel_band_roformer": Constructor("models.bs_roformer", "MelBandRoformer"),
    "mel_band_roformer_experimental": Constructor(
        "models.bs_roformer.mel_band_roformer_experimental", "MelBandRoformer"
    ),
    "moises_light": Constructor("moises_light", "MoisesLight"),
    "scnet": Constructor("models.scnet", "SCNet"),
    "scnet_masked": Constructor("models.scnet.scnet_masked", "SCNet"),
    "scnet_tran": Constructor("models.scnet.scnet_tran", "SCNet_Tran"),
}


def check(config: Dict[str, Any], model_type: str) -> None:
    """Raise `ArgumentsError` if the class of this model type does not take what the config gives it."""
    constructor = CONSTRUCTORS.get(model_type)
    if constructor is None:
        return
    given = section(config, constructor.section)
    problems = problems_with(given, getattr(importlib.import_module(constructor.module), constructor.name))
    if problems:
        raise ArgumentsError(
            f"the section {constructor.section!r} of the config does not fit {constructor.name} of this engine commit: "
            + "; ".join(problems),
            "The model was made for another version of the engine, or needs a variant of it.",
        )


def problems_with(given: Dict[str, Any], function: Any) -> List[str]:
    """In words: arguments in `given` that `function` does not know, and those it needs that are not there."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        known = list(given)
    else:
        known = [name for name, parameter in parameters.items() if parameter.kind is not parameter.POSITIONAL_ONLY]
    unknown = sorted(str(name) for name in given if name not in known)
    required = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    missing = [name for name in required if name not in given]
    problems = [_unknown(name, [other for other in known if other not in given]) for name in unknown[:8]]
    if len(unknown) > 8:
        problems.append(f"and {len(unknown) - 8} more are unknown")
    if missing:
        problems.append(f"missing: {listed(missing)}")
    return problems


def _unknown(name: str, free: List[str]) -> str:
    near = difflib.get_close_matches(name, free, n=3)
    nearest = f" (it knows {listed(near)})" if near else ""
    return f"`{name[:100]}` is unknown{nearest}"
