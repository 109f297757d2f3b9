"""A checkpoint of the demucs package as a model.

What its authors call a package is a dictionary: `klass`, the class of the model; `args` and `kwargs`, what to make it
with; `state`, its weights; `training_args`, which inference does not need. In a safetensors file the same is spread
over the tensors and the metadata, as JSON.
"""

from __future__ import annotations

import inspect
import json
from fractions import Fraction
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from .context import Context

CLASSES = {
    "demucs.demucs.Demucs": "demucs",
    "demucs.hdemucs.HDemucs": "demucs",
    "demucs.wdemucs.WDemucs": "demucs",  # what HDemucs was called before
    "demucs.htdemucs.HTDemucs": "htdemucs",
}
"""Classes that may be made, and the model type that each is."""

_FORMER = {
    "demucs.model.Demucs": "Demucs version 1 or 2",
    "demucs.model_v2.Demucs": "Demucs version 2",
    "demucs.tasnet.ConvTasNet": "Conv-TasNet",
    "demucs.tasnet_v2.ConvTasNet": "Conv-TasNet",
}

_PLAIN = (type(None), bool, int, float, str, Fraction)
_SHOWN_KEYS = 3
_MAX_HEADER_BYTES = 64 << 20


class Package(NamedTuple):
    """A checkpoint that was looked through: nothing in it is other than it should be, as far as can be seen."""

    class_name: str
    args: Tuple[Any, ...]
    kwargs: Dict[str, Any]
    state: Mapping[str, Any]
    filename: str

    @property
    def model_type(self) -> str:
        """The runtime's word for its kind of model."""
        return CLASSES[self.class_name]


def read_package(artifact: Mapping[str, str], context: Context) -> Package:
    """Look through the checkpoint of an artifact. Fails with `model_failed`, naming the file and what is wrong."""
    filename = artifact["filename"]
    content = context.read_checkpoint(artifact)
    if artifact["format"] == "raw":
        content = _from_metadata(content, artifact, context)
    if not isinstance(content, dict) or not {"klass", "args", "kwargs", "state"} <= set(content):
        context.fail(
            "model_failed",
            f"{filename} is no demucs checkpoint: klass, args, kwargs and state are not all in it",
            hint="Bare weights do not say which model they are of; this runtime takes files as demucs publishes them.",
        )
    class_name = _class_name(content["klass"])
    if class_name not in CLASSES:
        former = _FORMER.get(class_name)
        words = (
            f"a model of {former}, which demucs 4 cannot run"
            if former
            else f"a {class_name}, which is no model of demucs"
        )
        context.fail("model_failed", f"{filename} holds {words}")
    try:
        args, kwargs = _plain(content["args"]), _plain(content["kwargs"])
    except ValueError as error:
        context.fail("model_failed", f"{filename} wants its model made with {error}")
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict):
        context.fail("model_failed", f"{filename} does not say in a known way what its model is made with")
    state = content["state"]
    if not isinstance(state, dict):
        context.fail("model_failed", f"{filename} holds no weights: its state is no dictionary")
    return Package(class_name, tuple(args), {str(name): value for name, value in kwargs.items()}, state, filename)


def build(package: Package, context: Context) -> Any:
    """The model of a package, in evaluation mode, on the CPU. Fails with `model_failed`."""
    import torch

    if package.state.get("__quantized"):
        context.fail(
            "model_failed",
            f"{package.filename} holds quantized weights (DiffQ), which this runtime does not unpack",
            hint="Use the model's full-precision file, or a runtime that has the diffq package (audio-separator).",
        )
    strangers = [name for name, value in package.state.items() if not isinstance(value, torch.Tensor)]
    if strangers:
        context.fail("model_failed", f"{package.filename}: {_some(strangers)} in its state is no tensor")
    cls = _class(package.class_name)
    kwargs = _known_arguments(cls, package, context)
    try:
        model = cls(*package.args, **kwargs)
    except Exception as error:
        # Whatever a constructor makes of arguments that do not fit together, it is the file that is wrong.
        words = f"{package.filename}: its model cannot be made as the file says: {type(error).__name__}: {error}"
        context.fail("model_failed", words)
    _fill(model, package, context)
    return model.eval()


def _class(name: str) -> Any:
    if name == "demucs.demucs.Demucs":
        from demucs.demucs import Demucs

        return Demucs
    if name == "demucs.htdemucs.HTDemucs":
        from demucs.htdemucs import HTDemucs

        return HTDemucs
    from demucs.hdemucs import HDemucs

    return HDemucs


def _known_arguments(cls: Any, package: Package, context: Context) -> Dict[str, Any]:
    """The keyword arguments that the class knows. The package leaves out the others too, as some were training's."""
    known = inspect.signature(cls).parameters
    left_out = sorted(set(package.kwargs) - set(known))
    if left_out:
        context.log("warning", f"{package.filename}: demucs knows nothing of {', '.join(left_out)}; left out")
    return {name: value for name, value in package.kwargs.items() if name in known}


def _fill(model: Any, package: Package, context: Context) -> None:
    """Load the weights: every one, and no other. Half precision becomes single, as the package has it."""
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in package.state]
    unexpected = [name for name in package.state if name not in wanted]
    shapes = [
        f"{name} ({_shape(package.state[name])} instead of {_shape(tensor)})"
        for name, tensor in wanted.items()
        if name in package.state and package.state[name].shape != tensor.shape
    ]
    problems = [
        f"{words} {_some(names)}"
        for words, names in (("missing:", missing), ("unexpected:", unexpected), ("of another shape:", shapes))
        if names
    ]
    if problems:
        class_name = package.class_name.rpartition(".")[2]
        words = (
            f"the weights in {package.filename} do not fit the {class_name} that it describes; {'; '.join(problems)}"
        )
        context.fail("model_failed", words)
    model.load_state_dict(dict(package.state))


def _class_name(value: Any) -> str:
    """The dotted name of a class: a record of it, or text."""
    return str(getattr(value, "name", value))


def _plain(value: Any) -> Any:
    """An argument as plain values and fractions; raises ValueError, naming what is neither."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else list(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if getattr(value, "name", None) == "fractions.Fraction" and value.args:
        return Fraction(*value.args)
    raise ValueError(f"a {getattr(value, 'name', type(value).__name__)}, which is no plain value")


def _from_metadata(tensors: Dict[str, Any], artifact: Mapping[str, str], context: Context) -> Any:
    """The package of a safetensors file, whose metadata says in JSON what its tensors are the weights of."""
    metadata = _metadata(artifact["path"])
    if "structure" in metadata:
        context.fail(
            "model_failed",
            "{} holds quantized weights (DiffQ), which this runtime does not unpack".format(artifact["filename"]),
        )
    try:
        return {
            "klass": metadata["klass"],
            "args": json.loads(metadata["args"], object_hook=_decoded),
            "kwargs": json.loads(metadata["kwargs"], object_hook=_decoded),
            "state": tensors,
        }
    except (KeyError, ValueError):
        return None


def _metadata(path: str) -> Dict[str, Any]:
    # context.read_checkpoint has found the header sound; it does not hand on its metadata.
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(min(length, _MAX_HEADER_BYTES)))
    metadata: Dict[str, Any] = header.get("__metadata__", {})
    return metadata


def _decoded(members: Dict[str, Any]) -> Any:
    if members.get("_type") == "fraction":
        return Fraction(int(members["numerator"]), int(members["denominator"]))
    return members


def _shape(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: List[str]) -> str:
    more = len(names) - _SHOWN_KEYS
    return ", ".join(names[:_SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
