"""Choosing the target: what this machine has, the runtime can use and the requirements allow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemsep_envs.documents.accelerators import family_of
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.documents.target import Platform, Target
from stemsep_envs.errors import Reason
from stemsep_envs.host.accelerators import Usable


@dataclass(frozen=True)
class TargetChoice:
    """The target and why it was chosen; or None and why there is none."""

    target: Target | None
    why: str
    reasons: tuple[Reason, ...] = ()


def choose_target(
    requirements: Requirements, usable: Sequence[Usable], *, platform: Platform, asked: str | None = None
) -> TargetChoice:
    """Choose the best accelerator that is here, that the runtime can use and that the requirements allow.

    Args:
        requirements: From `merging.merge`.
        usable: From `host.accelerators.usable_accelerators`, best first.
        platform: What the environment is for.
        asked: What the user insists on: a family (``cuda``) or a build (``cu128``).

    Returns:
        The choice. Without a request, a machine without a fitting accelerator gets the processor where that is allowed;
        with one, nothing else is ever chosen.
    """
    passed_over: list[str] = []
    for candidate in usable:
        if asked is not None and asked not in {candidate.accelerator, family_of(candidate.accelerator).name}:
            continue
        words = _refusal(candidate.accelerator, requirements)
        if words is None:
            notes = f" ({'; '.join(passed_over)})" if passed_over else ""
            return TargetChoice(Target(platform, candidate.accelerator), f"{candidate.why}{notes}")
        passed_over.append(f"{candidate.accelerator}: {words}")
    here = ", ".join(candidate.accelerator for candidate in usable)
    if asked is not None and not passed_over:
        message = f"{asked} is asked for, and this machine runs {here}"
    else:
        message = f"no accelerator of this machine ({here}) can serve: {'; '.join(passed_over)}"
    reason = Reason("target_not_supported", message, hint="choose another device, or another runtime for this model")
    return TargetChoice(None, message, (reason,))


def target_reasons(requirements: Requirements, target: Target) -> tuple[Reason, ...]:
    """Say why a target that the user named cannot be used; empty when it can."""
    words = _refusal(target.accelerator, requirements)
    if words is None:
        return ()
    return (Reason("target_not_supported", f"{target} cannot be used: {words}", hint="choose another target"),)


def _refusal(accelerator: str, requirements: Requirements) -> str | None:
    family = family_of(accelerator).name
    parties = ", ".join(map(str, requirements.parties))
    if family not in requirements.accelerators:
        return f"{parties} allow {', '.join(requirements.accelerators)}"
    allowed = requirements.builds.get(family)
    if allowed is not None and accelerator not in allowed:
        return f"{parties} allow {', '.join(allowed) or 'none'}"
    return None
