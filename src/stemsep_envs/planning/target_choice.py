"""The target of a model: chosen from what this machine has, or checked where the user names one."""

from __future__ import annotations

from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.targets import TargetChoice, choose_target, target_reasons
from stemsep_envs.errors import Reason, UsageError
from stemsep_envs.host.accelerators import Accelerators, usable_accelerators, why_not
from stemsep_envs.host.machine import this_machine


def choose_model_target(asked: str, requirements: Requirements, accelerators: Accelerators) -> TargetChoice:
    """Choose what a model's environment is made for.

    Args:
        asked: ``auto``, an accelerator of this platform, or a whole target.
        requirements: What the model, its variant and its runtime need.
        accelerators: What this machine has.

    Raises:
        UsageError: ``asked`` is no target.
    """
    platform = this_machine().platform
    if asked == "auto":
        return choose_target(requirements, usable_accelerators(accelerators, platform), platform=platform)
    if asked and "-" not in asked:
        usable = usable_accelerators(accelerators, platform)
        return choose_target(requirements, usable, platform=platform, asked=asked)
    try:
        target = parse_target(asked)
    except ValueError as error:
        raise UsageError(str(error), code="target_unknown") from None
    reasons = target_reasons(requirements, target)
    if not reasons and target.platform == platform:  # another platform's is refused for that
        reasons = _absent(target, accelerators)
    return TargetChoice(target, "command line", reasons)


def _absent(target: Target, accelerators: Accelerators) -> tuple[Reason, ...]:
    """Say why a target that was named does not run here, by what was found; building for it can be insisted on."""
    words = why_not(target.accelerator, accelerators, target.platform)
    if words is None:
        return ()
    hint = "choose --target auto; to prepare an environment for another machine, --enforce warn"
    return (Reason("accelerator_missing", f"{target} does not run here: {words}", hint=hint),)
