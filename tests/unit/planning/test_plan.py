"""What the user says, and the plan that comes of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.artifacts.blobs import blob_path
from stemsep_envs.documents.canonical import digest_of
from stemsep_envs.errors import BlockedError, UsageError
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.plan import PlanOptions, planning_from, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model


def test_a_command_line_that_says_nothing_is_the_default() -> None:
    silent = {"target": "auto", "offline": False, "confirm_manual_steps": False, "enforce": "strict", "assignments": ()}
    assert planning_from(silent) == planning_from({}) == PlanOptions()


def test_what_a_command_line_says() -> None:
    said = {"overlap": 0.0, "tta": False, "shifts": 0, "assignments": ("a=1",), "target": "cpu", "runtime": "dsp"}
    planning = planning_from(said)
    assert dict(planning.options) == {"overlap": 0.0, "tta": False, "shifts": 0}
    assert (planning.assignments, planning.target, planning.runtime) == (("a=1",), "cpu", "dsp")


def write_registry(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "models.json"
    document = {
        "version": "2.0",
        "generated_at": "2026-01-01T00:00:00Z",
        "source": {"tool": "test", "repo": None, "commit": None, "notes": None},
        "models": list(entries),
    }
    path.write_text(json.dumps(document))
    return path


def test_the_plan_holds_what_is_here(
    isolated: Path, tmp_path: Path, shipped_entries: dict[str, dict[str, Any]]
) -> None:
    weights = b"{}"
    digest = hashlib.sha256(weights).hexdigest()
    blob = blob_path(Home(isolated), digest)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(weights)
    artifact = {"kind": "config", "filename": "c.json", "sha256": digest, "size_bytes": 2}
    document = {**shipped_entries["dsp-hpss"], "artifacts": {"primary": artifact}}
    preflight = plan_model("dsp-hpss", PlanOptions(registry_path=write_registry(tmp_path, document)))
    plan = refuse_if_blocked(preflight)
    assert [(found.record.name, found.path) for found in plan.artifacts] == [("primary", blob)]
    assert plan.model.entry_sha256 == digest_of(document)
    assert plan.stems == ("harmonic", "percussive")
    assert plan.report.resolved is not None
    assert plan.report.resolved.artifacts[0].status == "ok"


def test_the_stems_of_a_model_that_names_none_are_its_types(
    tmp_path: Path, shipped_entries: dict[str, dict[str, Any]]
) -> None:
    document = {**shipped_entries["dsp-hpss"], "stems": []}
    plan = plan_model("dsp-hpss", PlanOptions(registry_path=write_registry(tmp_path, document))).plan
    assert plan is not None
    assert plan.stems == ("harmonic", "percussive")


def test_a_blocked_plan_is_refused_with_all_its_reasons() -> None:
    preflight = plan_model("dsp-hpss", PlanOptions(runtime="elsewhere"))
    assert preflight.plan is None
    with pytest.raises(BlockedError) as blocked:
        refuse_if_blocked(preflight)
    assert [reason.code for reason in blocked.value.reasons] == [error.code for error in preflight.report.errors]
    assert blocked.value.exit_code == 6


@pytest.mark.parametrize("target", ["", "a-b-c", "linux-x86_64-", "-cpu", "linux-x86_64-gpu"])
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan_model("dsp-hpss", PlanOptions(target=target))
    assert refused.value.code == "target_unknown"
