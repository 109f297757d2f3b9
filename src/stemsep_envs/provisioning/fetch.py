"""Fetching the files of models, before anything is built: one step for all of them, with progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stemsep_envs.artifacts.blobs import mark_used
from stemsep_envs.artifacts.model_files import Wanted, size_conflict
from stemsep_envs.documents.events import Event, FileTransfer, OnEvent, step_reporter
from stemsep_envs.errors import MismatchError, UsageError
from stemsep_envs.planning.plan import Plan, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_again

if TYPE_CHECKING:
    from stemsep_envs.host.transfers import Patience, Transfer

# What downloads and resolves is loaded by the functions that do: most commands do not.

STALL_VARIABLE = "STEMSEP_ENV_STALL_SECONDS"
ATTEMPTS_VARIABLE = "STEMSEP_ENV_FETCH_ATTEMPTS"


def with_files(plans: Sequence[Plan], *, on_event: OnEvent) -> list[Plan]:
    """Return the plans of models whose files are all here: what is missing is fetched, and those are planned again.

    Planned again, since only now is it known what the files are: digests and engines may depend on that.

    Args:
        plans: Plans that may run.
        on_event: Told of the step and of the progress of each file.

    Raises:
        MismatchError: A file is not the one that was promised, or its stated size is wrong.
        BuildError: A file cannot be fetched, or what a model needs cannot be resolved.
        LimitError: Its hosts stalled, or the disk is full.
        BlockedError: With its files here, a model turns out not to run.
    """
    for plan in plans:
        for artifact in plan.artifacts:
            mark_used(plan.home, artifact.record.sha256)
    if not any(plan.to_fetch for plan in plans):
        return list(plans)
    plans = [_resolved(plan, on_event) if plan.to_fetch else plan for plan in plans]
    _fetch(plans, on_event)
    return [refuse_if_blocked(plan_again(plan)) if plan.to_fetch else plan for plan in plans]


def _resolved(plan: Plan, on_event: OnEvent) -> Plan:
    """Have what a model needs resolved before gigabytes come that nothing could use."""
    if plan.environment.lock is not None or plan.environment.state == "ready":
        return plan
    from stemsep_envs.environments.reuse_or_build import resolve_plan  # noqa: PLC0415
    from stemsep_envs.provisioning.build_confinement import BuildConfinement  # noqa: PLC0415

    confine, report = BuildConfinement(plan.home), step_reporter(on_event)
    offline = plan.options.offline
    environment = resolve_plan(plan.environment, home=plan.home, offline=offline, report=report, confine=confine)
    return replace(plan, environment=environment)


def _fetch(plans: Sequence[Plan], on_event: OnEvent) -> None:
    from stemsep_envs.artifacts.fetching import fetch_all  # noqa: PLC0415

    missing = [item for plan in plans for item in plan.to_fetch]
    names = list(dict.fromkeys(item.wanted.filename for item in missing))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    on_event(Event(event="step", step="fetch", message=f"fetching {shown}"))
    fetched = fetch_all(plans[0].home, missing, patience=patience_from_environ(), on_progress=_teller(on_event))
    checked = {item.wanted for plan in plans if plan.options.enforcement == "strict" for item in plan.to_fetch}
    for file in fetched:
        if file.wanted in checked:
            _refuse_conflict(file.wanted, file.sha256, file.size_bytes)


def patience_from_environ() -> Patience:
    """Return how long downloads are tried, as the environment says or by default.

    Raises:
        UsageError: A variable holds no such number.
    """
    from stemsep_envs.host.transfers import Patience  # noqa: PLC0415

    usual = Patience()
    return Patience(
        stall_seconds=_number(STALL_VARIABLE, usual.stall_seconds),
        attempts=int(_number(ATTEMPTS_VARIABLE, usual.attempts)),
    )


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.1 <= number <= 86400:
        raise UsageError(f"{variable}={text} is not possible", hint="a number of at least 0.1")
    return number


def _refuse_conflict(wanted: Wanted, sha256: str, size_bytes: int) -> None:
    conflict = size_conflict(wanted, sha256, size_bytes)
    if conflict is not None:
        raise MismatchError(
            conflict,
            hint="correct the registry's size; the file was kept, and --enforce warn runs it all the same",
            code="artifact_metadata_conflict",
        )


def _teller(on_event: OnEvent) -> Callable[[Sequence[Transfer]], None]:
    """Return what tells of transfers as events, with the speed of each since it was last told of."""
    before: dict[int, tuple[float, int]] = {}

    def tell(transfers: Sequence[Transfer]) -> None:
        now = time.monotonic()
        facts = []
        for transfer in transfers:
            since, received = before.get(id(transfer), (now, 0))
            speed = (transfer.received_bytes - received) / (now - since) if now > since else 0.0
            before[id(transfer)] = (now, transfer.received_bytes)
            facts.append(
                FileTransfer(
                    filename=transfer.name,
                    done_bytes=transfer.done_bytes,
                    total_bytes=transfer.total_bytes,
                    bytes_per_second=max(0, round(speed)),
                    note=transfer.note,
                )
            )
        on_event(Event(event="fetch", transfers=tuple(facts)))

    return tell
