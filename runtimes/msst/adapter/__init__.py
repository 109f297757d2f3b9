"""The `msst` runtime: models of the public Music-Source-Separation-Training repository, run by that engine's own code.

    config        the model's YAML as plain values: bounded, nothing constructed but data
    arguments     what the engine's class takes, against what the config gives it
    engine        the engine's modules and functions, and stand-ins for packages that inference needs little of
      stand_ins, spectrograms
    variants      which variant a checkpoint is of, told from its keys, against what the registry says
    weights       the checkpoint into the model: strictly, named key by key where it does not fit
    devices       cpu, cuda, mps, xpu, and arithmetic on them
    settings      settings of a request, laid over the config as its author could have written them
    stems         what the stems are called
    chunks        the engine's chunks, windows and overlap-add, on a stream
    separation    one track: source → chunks → stems

The engine builds the model from the config and computes every chunk. Its `demix` holds the whole track several times
over, so the chunks are laid out here, sample for sample as `demix` would: see `chunks`.
"""

from __future__ import annotations

from typing import Any, Dict

from . import arguments, config, devices, engine, settings, variants, weights
from .failures import AdapterError, listed
from .separation import Model

_PACKAGES = ["torch", "numpy", "einops", "rotary-embedding-torch", "ml-collections", "omegaconf", "beartype"]


def describe() -> Dict[str, Any]:
    """What identifies the engine, and where it runs here."""
    return {"packages": _PACKAGES, "devices": devices.available()}


def load(request: Dict[str, Any], context: Any) -> Model:
    """Build the model that the artifacts describe, with its weights, on its device."""
    artifacts = request["artifacts"]
    for name in ("config", "primary"):
        if name not in artifacts:
            message = f"the model has no {name!r} artifact"
            context.fail("model_failed", message, "msst models need a checkpoint (primary) and a config.")
    try:
        parsed = config.read(artifacts["config"]["path"])
        model_type = config.model_type(parsed, request["model"]["model_type"])
        chosen = settings.choose(parsed, model_type, request["settings"], request["device"])
        for note in chosen.notes:
            context.log("warning", note)
        variant = request["model"]["variant"]
        checkpoint = context.read_checkpoint(artifacts["primary"])
        state, left_out = weights.state_of(checkpoint, model_type)
        if left_out:
            context.log("info", f"beside the weights, and not loaded: {listed(left_out)}")
        # First of all: under another variant neither arguments nor weights fit, and what they say leads astray.
        variants.check_checkpoint(state, variant, model_type)
        engine.prepare(model_type)
        arguments.check(parsed, model_type)
        module = engine.build(parsed, model_type)
        variants.check_module(module.state_dict(), variant)
        weights.put(state, module)
        return Model(module, parsed, model_type, chosen, request["device"])
    except settings.SettingsError as error:
        context.fail("unsupported_setting", str(error), error.hint)
    except AdapterError as error:
        context.fail("model_failed", str(error), error.hint)
    except RuntimeError as error:
        if not devices.is_out_of_memory(error):
            raise
        devices.release(request["device"])
        hint = "The weights alone need more than there is: use another device."
        context.fail("out_of_memory", devices.in_short(error), hint)
    raise AssertionError("context.fail raises")
