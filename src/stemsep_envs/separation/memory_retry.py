"""Out of memory: which settings to try once more with.

A model runs out of memory because it works on too much at once: several chunks (the batch), or chunks that are too
long. The answer is one retry, with a batch of one where it was larger, else with chunks of half the length. What the
user set on the command line is left alone, and so is a model whose chunks are as short as its runtime takes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stemsep_envs.documents.run import ResolvedSetting
from stemsep_envs.documents.runtime import SettingDeclaration, SettingValue
from stemsep_envs.planning.plan import Plan
from stemsep_envs.registry.settings import COMMAND_LINE

OUT_OF_MEMORY_CODES = frozenset({"out_of_memory", "worker_killed"})
RETRY_SOURCE = "retry after running out of memory"

_BATCH = "batch_size"


def settings_for_retry(plan: Plan, effective: Mapping[str, Any]) -> dict[str, ResolvedSetting]:
    """Return the settings of a plan to change for a retry; empty when there is nothing to make smaller.

    Args:
        plan: What ran out of memory.
        effective: What its worker says is in effect.
    """
    declared = plan.runtime.recipe.declared_settings(plan.model.model_type)
    return smaller_settings(plan.settings, effective, declared, segment=_segment_setting(plan))


def memory_advice(plan: Plan) -> str | None:
    """Say what the user can ask for that needs less memory; None where the runtime has no such setting."""
    declared = plan.runtime.recipe.declared_settings(plan.model.model_type)
    options = {_BATCH: "--batch-size 1", _segment_setting(plan): "a shorter --segment"}
    advice = " or ".join(words for name, words in options.items() if name in declared)
    return f"try {advice}" if advice else None


def retry_words(changed: Mapping[str, ResolvedSetting]) -> str:
    """Say in words how a track is tried again."""
    return "once more with " + ", ".join(f"{name} = {setting.value}" for name, setting in changed.items())


def smaller_settings(
    planned: Mapping[str, ResolvedSetting],
    effective: Mapping[str, Any],
    declared: Mapping[str, SettingDeclaration],
    *,
    segment: str | None,
) -> dict[str, ResolvedSetting]:
    """Return the settings to change for a retry; empty when there is nothing to make smaller.

    Args:
        planned: What the run was planned with.
        effective: What the worker says is in effect, which tells what the engine chose by itself. It is not trusted:
            what is no sane number counts as not said.
        declared: The runtime's settings for the model.
        segment: The setting that holds the length of a chunk, if the runtime has one.
    """
    for name, shrink in ((_BATCH, _one), (segment, _half)):
        if name is None or name not in declared or _is_the_users(planned.get(name)):
            continue
        current = _number(effective.get(name), planned.get(name))
        value = None if current is None else shrink(current, declared[name])
        if value is not None and declared[name].problem_with(value) is None:
            return {name: ResolvedSetting(value=value, unit=declared[name].unit, source=RETRY_SOURCE)}
    return {}


def _segment_setting(plan: Plan) -> str | None:
    spelled = plan.runtime.recipe.segment_of(plan.model.model_type)
    return spelled.setting if spelled else None


def _one(current: float, _: SettingDeclaration) -> SettingValue | None:
    return 1 if current > 1 else None


def _half(current: float, declaration: SettingDeclaration) -> SettingValue | None:
    if declaration.type == "int":
        return int(current) // 2 if current >= 2 else None
    return current / 2 if current > 0 else None


def _is_the_users(setting: ResolvedSetting | None) -> bool:
    return setting is not None and setting.source == COMMAND_LINE


def _number(said: Any, planned: ResolvedSetting | None) -> float | None:
    for value in (said, planned.value if planned is not None else None):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12 and math.isfinite(value):
            return value
    return None
