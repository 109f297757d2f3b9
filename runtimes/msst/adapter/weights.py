"""The checkpoint: the state dict in it by the engine's own rules, and strictly into the model."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import torch

from . import variants
from .failures import AdapterError, listed

_ALIGNMENT_BYTES = 64
_KEYS = ("state", "state_dict", "model_state_dict")
_HINT = "The checkpoint belongs to another config, or needs a variant of the engine."


class WeightsError(AdapterError):
    """A checkpoint that is not this model's."""


def state_of(checkpoint: Any, model_type: str) -> Tuple[Dict[str, Any], List[str]]:
    """The state dict in a checkpoint, where the engine looks for it, and the keys beside weights that were left out."""
    found = checkpoint
    keys = (
        ("state", "state_dict") if model_type in ("htdemucs", "apollo") else ("state", "state_dict", "model_state_dict")
    )
    for key in keys:
        if isinstance(found, dict) and key in found:
            found = found[key]
    if not isinstance(found, dict):
        raise WeightsError(f"the checkpoint holds no state dict but a {type(found).__name__}", _HINT)
    found, left_out = variants.weights_alone(found)
    odd = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise WeightsError(f"the state dict of the checkpoint holds what is no tensor: {listed(odd)}", _HINT)
    return {str(name): value for name, value in found.items()}, left_out


def put(state: Dict[str, Any], model: Any) -> None:
    """Give the model its weights. Each of its keys must be there in its shape, and no other."""
    own, _ = variants.weights_alone(model.state_dict())
    problems: List[str] = []
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if missing:
        problems.append(f"{len(missing)} of {len(own)} missing ({listed(missing)})")
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected ({listed(unexpected)})")
    other_shape = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if other_shape:
        problems.append(f"{len(other_shape)} of another shape ({listed(other_shape)})")
    if problems:
        raise WeightsError("the weights do not fit the model: " + "; ".join(problems), _HINT)
    sources = _sources(own)
    made = {name: _as_copied(state[name], own[name]) for name in set(sources.values())}
    model.load_state_dict({name: made[sources[name]] for name in own}, strict=True, assign=True)


def _sources(own: Dict[str, Any]) -> Dict[str, str]:
    """For each key of the model, the key of the checkpoint whose tensor it ends up with.

    Its own, unless the model keeps one tensor under several keys: copying to all of them leaves the last one's.
    """
    last = {_place(tensor): name for name, tensor in own.items()}
    return {name: last[_place(tensor)] for name, tensor in own.items()}


def _place(tensor: Any) -> Tuple[Any, ...]:
    return (tensor.data_ptr() or id(tensor), tuple(tensor.shape), tensor.dtype)


def _as_copied(tensor: Any, own: Any) -> Any:
    """`tensor` as it would be had it been copied into `own`, without the copy where that changes nothing.

    Copying converts the type, lays elements out in order and in memory aligned as fast code wants it; the last decides
    which instructions are used, so that results could differ in their last bits.
    """
    converted = tensor.detach().to(own.dtype)
    if not converted.is_contiguous() or converted.data_ptr() % _ALIGNMENT_BYTES:
        converted = torch.empty_like(own, device="cpu").copy_(converted)
    return converted
