"""Planning once more: what was found stays, only what depends on files is found anew."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.artifacts.adding import add_file
from stemsep_envs.artifacts.model_files import wanted_files
from stemsep_envs.host.paths import data_dir
from stemsep_envs.planning import preflight
from stemsep_envs.planning.plan import Plan, PlanOptions, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_again, plan_model

WEIGHTS = b'{"weights": 1}'


@pytest.fixture
def planted(isolated: Path, tmp_path: Path, shipped_entries: dict[str, dict[str, Any]]) -> Plan:
    """The plan of a model with one file that is not here."""
    artifact = {
        "kind": "config",
        "filename": "c.json",
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
        "url": "https://localhost:1/c.json",
    }
    document = {**shipped_entries["dsp-hpss"], "artifacts": {"primary": artifact}}
    shipped = json.loads((data_dir("registry") / "models.v2.source.json").read_text("utf-8"))
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({**shipped, "models": [document]}))
    return refuse_if_blocked(plan_model("dsp-hpss", PlanOptions(registry_path=registry)))


def bring(plan: Plan, folder: Path) -> None:
    (folder / "c.json").write_bytes(WEIGHTS)
    (wanted,) = wanted_files(plan.entry)
    add_file(plan.home, folder / "c.json", wanted, replace=False)


def test_a_file_that_came_is_in_the_next_plan(planted: Plan, tmp_path: Path) -> None:
    assert len(planted.to_fetch) == 1
    bring(planted, tmp_path)
    again = refuse_if_blocked(plan_again(planted))
    assert again.to_fetch == ()
    assert [artifact.path.read_bytes() for artifact in again.artifacts] == [WEIGHTS]
    assert again.report.resolved is not None
    assert again.report.resolved.artifacts[0].status == "ok"


def test_planning_again_repeats_nothing_it_knows(
    planted: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(planted, tmp_path)

    def fail(*_: object, **__: object) -> None:
        pytest.fail("it was known")

    for name in ("catalogue_at", "load_runtime", "choose_runtime", "choose_model_target", "choose_confinement"):
        monkeypatch.setattr(preflight, name, fail)
    for name in ("resolve_settings", "requirements_of", "plan_environment", "detect"):
        monkeypatch.setattr(preflight, name, fail)
    again = plan_again(planted).plan
    assert again is not None
    assert again.model == planted.model
    assert again.environment == planted.environment


def test_a_model_asks_for_the_same_as_at_first(planted: Plan, tmp_path: Path) -> None:
    bring(planted, tmp_path)
    again = plan_again(planted).plan
    assert again == plan_model("dsp-hpss", planted.options).plan
