"""`env repair`: build anew what is not as it was built."""

from __future__ import annotations

from collections.abc import Sequence

from stemsep_envs.documents.environment_reports import RepairAction, RepairedEnvironment, RepairReport
from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.environments.lookup import named_or_all
from stemsep_envs.environments.repairing import repair
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.verifying import verify
from stemsep_envs.errors import BlockedError, StemsepEnvError
from stemsep_envs.host.paths import Home, find_home
from stemsep_envs.provisioning.build_confinement import BuildConfinement


def repair_environments(prefixes: Sequence[str], *, offline: bool, on_event: OnEvent) -> RepairReport:
    """Verify environments, those that are named or all, and build anew what is not as it was built.

    One that cannot be repaired does not keep the others from it.

    Raises:
        UsageError: One that is named does not exist.
    """
    home, report = find_home(), step_reporter(on_event)
    stored = named_or_all(home, prefixes)
    repaired = tuple(_repaired(home, item.digest, offline=offline, report=report) for item in stored)
    return RepairReport(ok=all(item.action != "failed" for item in repaired), environments=repaired)


def _repaired(home: Home, digest: str, *, offline: bool, report: Report) -> RepairedEnvironment:
    report("verify", f"verifying {digest[:12]}")
    differences = verify(home, digest, quick=False).differences
    if not differences:
        return RepairedEnvironment(digest=digest, action="none", detail="as it was built", differences=())
    report("repair", f"repairing {digest[:12]}")
    action, detail = _outcome(home, digest, offline=offline, report=report)
    return RepairedEnvironment(digest=digest, action=action, detail=detail, differences=differences)


def _outcome(home: Home, digest: str, *, offline: bool, report: Report) -> tuple[RepairAction, str]:
    """Repair one environment; return what was done, and in words why or how."""
    try:
        done = repair(home, digest, offline=offline, report=report, confine=BuildConfinement(home))
    except BlockedError:
        raise
    except StemsepEnvError as error:
        return "failed", error.message if error.hint is None else f"{error.message}; {error.hint}"
    if done.receipt is None:
        return "removed", f"{done.removed_because}; the next `ensure` builds it"
    return "rebuilt", "built from clean files"
