"""Which variant of the engine a checkpoint was made for, told from the names of its weights. Pure: names in, words out.

Variants change the part of a roformer that estimates masks, and share everything else with the stock engine, the config
too. Nothing but the names tells them apart, and loaded leniently a checkpoint of one gives a model of another whose
changed part holds no weights at all, without a word.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Optional, Tuple

from .failures import AdapterError

MODEL_TYPE = "bs_roformer"
"""The one model type whose module the variants change."""

_TITLES = {"hyperace_v1": "a HyperACE v1 model", "hyperace_v2": "a HyperACE v2 model", "fno": "an FNO model"}
_STOCK = "an ordinary model, of no variant"
_BRINGS_ITS_CODE = ("hyperace_v1", "hyperace_v2")

# The whole begins anywhere: checkpoints are nested in others, and prefixed by what wrapped the model in training.
_WITHIN = r"(?:^|[./])mask_estimators\.\d+\."
_SEGMENTER = re.compile(_WITHIN + r"segm\.")
_SECOND_SEGMENTER = re.compile(_WITHIN + r"segm\.upsample_head\.block1\.out_conv\.")
_OPERATOR = re.compile(_WITHIN + r"to_freqs\.\d+\.(?:\d+\.)?(?:fno_blocks\.|_metadata(?:\.|$))")
_ARGUMENTS = "_metadata"


class VariantError(AdapterError):
    """A checkpoint, a module and a registry entry that do not belong together."""


def recognised(names: Iterable[str]) -> Optional[str]:
    """The variant that weights of these names are of; None for the stock engine's, and for any other kind of model.

    Raises:
        VariantError: They have the marks of more than one.
    """
    marks = set()
    for name in names:
        if _SEGMENTER.search(name):
            marks.add("hyperace_v2" if _SECOND_SEGMENTER.search(name) else "hyperace_v1")
        elif _OPERATOR.search(name):
            marks.add("fno")
    if "hyperace_v2" in marks:
        marks.discard("hyperace_v1")  # it has all that the first has, and more
    if len(marks) > 1:
        listed = " and ".join(_TITLES[mark] for mark in sorted(marks))
        raise VariantError(f"the names of its weights are those of {listed} at once", "No variant serves such a file.")
    return marks.pop() if marks else None


def check_checkpoint(names: Iterable[str], variant: Optional[str], model_type: str) -> None:
    """Raise `VariantError` if a checkpoint is of another variant than the registry says.

    Args:
        names: Of the weights in the checkpoint.
        variant: What the registry says; None for the stock engine. One that is not known here is not judged.
        model_type: What kind of model it says that this is.
    """
    if variant is not None and variant not in _TITLES:
        return
    found = recognised(names)
    if found is not None and model_type != MODEL_TYPE:
        raise VariantError(
            f"this checkpoint is {_TITLES[found]}, which is a {MODEL_TYPE}; the registry says {model_type}",
            f"Set runtime.model_type of the registry entry to {MODEL_TYPE} and runtime.variant to {found}.",
        )
    if found != variant:
        says = f"the registry says {variant}" if variant else "the registry names no variant"
        raise VariantError(f"this checkpoint is {_title(found)}; {says}", _way_out(found))


def check_module(names: Iterable[str], variant: Optional[str]) -> None:
    """Raise `VariantError` if the model that the engine built is of another variant than the registry says.

    The module that makes a HyperACE model comes with the model, and may be the wrong one.
    """
    if variant not in _BRINGS_ITS_CODE:
        return
    found = recognised(names)
    if found != variant:
        raise VariantError(
            f"the module file that came with this model makes {_title(found)}; the registry says {variant}",
            "Name the module file of this very model in the registry entry, as its artifact of the kind patch.",
        )


def weights_alone(state: Dict[Any, Any]) -> Tuple[Dict[Any, Any], List[str]]:
    """A state dict without what is no weight in it though its model put it there, and the names of what was left out.

    Fourier neural operators keep the arguments that they were made with beside their weights. A strict load without
    them refuses all that is wrong otherwise; a lenient one with them would refuse nothing.
    """
    left_out = [name for name in state if str(name).split(".")[-1] == _ARGUMENTS]
    return {name: value for name, value in state.items() if name not in left_out}, [str(name) for name in left_out]


def _title(variant: Optional[str]) -> str:
    return _STOCK if variant is None else _TITLES[variant]


def _way_out(found: Optional[str]) -> str:
    if found is None:
        return "Take runtime.variant out of the registry entry, or name the checkpoint that belongs to the variant."
    own = " and name its module file as an artifact of the kind patch" if found in _BRINGS_ITS_CODE else ""
    return f"Set runtime.variant of the registry entry to {found}{own}."
