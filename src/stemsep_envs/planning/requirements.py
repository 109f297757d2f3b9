"""What a model needs on a runtime: the one place where the registry entry and the recipe are merged.

Preflight and `lock` both ask here, so that they agree on what a model can use.
"""

from __future__ import annotations

from dataclasses import replace

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.errors import Reason


def requirements_of(entry: ModelEntry, recipe: RuntimeRecipe) -> Requirements:
    """Merge what a registry entry and the runtime that executes it ask for.

    Args:
        entry: The model; `registry.routing.check_recipe` found its model type and variant in the recipe.
        recipe: The runtime.

    Returns:
        The requirements. Their accelerators are those the runtime can use and, where the entry lists
        ``runtime.devices``, the model too.

    Raises:
        KeyError: The runtime has no such model type or variant.
    """
    needs = entry.requirements
    demand = model_demand(
        entry.id,
        python=(needs.python.min, needs.python.max),
        torch=(needs.torch.min, needs.torch.max),
        builds=needs.torch.builds(),
        packages=needs.pip.packages,
    )
    model_type = entry.runtime.model_type_on(recipe.id)
    demands = runtime_demands(recipe, model_type=model_type, variant=entry.runtime.variant)
    merged = merge(recipe, [*demands, demand])
    devices = entry.runtime.devices
    return replace(merged, accelerators=tuple(kind for kind in merged.accelerators if not devices or kind in devices))


def device_reasons(entry: ModelEntry, recipe: RuntimeRecipe) -> tuple[Reason, ...]:
    """Say why the model cannot run on the runtime at all: it names devices, and the runtime uses none of them."""
    devices = entry.runtime.devices
    if not devices or set(devices) & set(recipe.accelerators):
        return ()
    words = f"{entry.id} runs on {', '.join(devices)}; {recipe.id} uses {', '.join(recipe.accelerators)}"
    return (Reason("target_not_supported", words, "choose another runtime for this model", "runtime.devices"),)
