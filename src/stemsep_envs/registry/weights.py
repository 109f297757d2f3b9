"""Which variant of a runtime weights are of, told from their names alone. Pure.

Variants share configs, and a checkpoint of one that is loaded leniently into another is a model that does nothing
sensible; the names of the weights tell. The adapter looks at them too, once it runs; here it is said before anything is
built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from stemsep_envs.documents.runtime import RuntimeRecipe, WeightNames
from stemsep_envs.errors import Reason


def variants_of(names: Iterable[str], recipe: RuntimeRecipe) -> tuple[str, ...]:
    """Return the variants that weights of these names can be of; empty for the stock engine's."""
    listed = tuple(names)
    return tuple(
        name
        for name, variant in recipe.variants.items()
        if variant.weights is not None and _are_of(variant.weights, listed)
    )


def weights_reasons(names: Iterable[str], recipe: RuntimeRecipe, variant: str | None) -> tuple[Reason, ...]:
    """Say why weights of these names are not those of a variant; empty when they may be.

    Args:
        names: Of the weights.
        recipe: The runtime.
        variant: What the model's entry says; None for the stock engine. One that does not say how its weights are
            told is not judged.
    """
    if variant is not None and recipe.variants[variant].weights is None:
        return ()
    found = variants_of(names, recipe)
    if (variant in found) if variant is not None else not found:
        return ()
    are = f"those of the variant {' or '.join(found)}" if found else "those of the engine without any variant"
    says = f"the registry says {variant}" if variant is not None else "the registry names no variant"
    hint = f"set runtime.variant of the entry to {found[0]}" if found else "take runtime.variant out of the entry"
    if found and any(step.artifact is not None for step in recipe.variants[found[0]].patches):
        hint += ", and name the module file that belongs to it among its artifacts"
    return (Reason("variant_mismatch", f"the model's weights are {are}; {says}", hint, "runtime.variant"),)


def _are_of(marks: WeightNames, names: tuple[str, ...]) -> bool:
    def found(pattern: str) -> bool:
        search = re.compile(pattern).search
        return any(search(name) for name in names)

    return all(map(found, marks.have)) and not any(map(found, marks.lack))
