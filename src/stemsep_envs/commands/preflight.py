"""`preflight`: will this model run here, how, and if not why."""

from __future__ import annotations

from pathlib import Path

from stemsep_envs.documents.preflight import PreflightReport
from stemsep_envs.planning.plan import PlanOptions
from stemsep_envs.planning.preflight import plan_model


def preflight_model(model_id: str, options: PlanOptions, *, input_path: Path | None = None) -> PreflightReport:
    """Say whether a model will run here, how, and if not why. No package is downloaded, nothing is built or started.

    Raises:
        UsageError: Unknown model, setting or target.
        InvalidDocumentError: The registry entry is wrong.
        MismatchError: A lock that ships with the runtime was changed.
    """
    if not options.resolve:
        return plan_model(model_id, options, input_path=input_path).report
    from stemsep_envs.provisioning.resolution import resolved  # noqa: PLC0415 - start-up time: building comes with it

    return plan_model(model_id, options, input_path=input_path, resolve=resolved).report
