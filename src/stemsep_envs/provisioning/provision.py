"""A plan made real: files fetched, the model planned again where that depends on them, its environment built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemsep_envs.documents.events import OnEvent, ignore_event
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.planning.plan import Plan
from stemsep_envs.provisioning.environment import ensure_planned, ensure_planned_all
from stemsep_envs.provisioning.fetch import with_files


@dataclass(frozen=True)
class Provisioned:
    """A plan whose files are all here, and its environment."""

    plan: Plan
    environment: Environment


def provision(plan: Plan, *, on_event: OnEvent = ignore_event) -> Provisioned:
    """Fetch the files of a plan and make sure of its environment; raises as `provision_all` does."""
    (plan,) = with_files([plan], on_event=on_event)
    return Provisioned(plan, ensure_planned(plan, on_event=on_event))


def provision_all(plans: Sequence[Plan], *, on_event: OnEvent = ignore_event) -> list[Provisioned]:
    """Fetch the files of all plans, then make sure of every environment.

    Args:
        plans: Plans that may run.
        on_event: Told of each step and of the progress of downloads.

    Raises:
        BlockedError: With its files here, a model turns out not to run.
        BuildError: A file cannot be fetched, an environment cannot be resolved or built.
        MismatchError: A lock or a file is not what was promised.
        LimitError: Hosts stalled, the disk is full, or a deadline passed.
    """
    ready = with_files(plans, on_event=on_event)
    environments = ensure_planned_all(ready, on_event)
    return [Provisioned(plan, environment) for plan, environment in zip(ready, environments, strict=True)]
