"""A plan is plain data: written, read by another process, and still the same plan."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stemsep_envs.errors import InvalidDocumentError
from stemsep_envs.planning.plan import Plan, PlanOptions, refuse_if_blocked
from stemsep_envs.planning.plan_json import read_plan, write_plan
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.registry.catalogue import catalogue_at


@pytest.fixture
def plan(isolated: Path) -> Plan:
    options = PlanOptions(options={"overlap": 0.5}, assignments=("mask_power=1",))
    return refuse_if_blocked(plan_model("dsp-hpss", options))


def test_a_plan_that_was_written_is_read_back_equal(plan: Plan) -> None:
    assert read_plan(write_plan(plan)) == plan


@pytest.mark.parametrize(
    "target", ["linux-x86_64-cpu", "linux-x86_64-cu128", "linux-x86_64-rocm6.4", "macos-arm64-mps"]
)
def test_every_shipped_model_survives(isolated: Path, target: str) -> None:
    options = PlanOptions(target=target, enforcement="warn", unknown_hash="first-use")
    found = 0
    for model_id in catalogue_at(None).ids():
        plan = plan_model(model_id, options).plan
        if plan is not None:
            assert read_plan(write_plan(plan)) == plan
            found += 1
    assert found > 20 or target != "linux-x86_64-cpu"


def test_another_process_reads_the_same(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(write_plan(plan))
    program = (
        "import sys, pathlib; from stemsep_envs.planning.plan_json import read_plan, write_plan\n"
        "sys.stdout.buffer.write(write_plan(read_plan(pathlib.Path(sys.argv[1]).read_bytes())))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, check=True)
    assert done.stdout == path.read_bytes()


def test_a_plan_of_another_version_is_refused(plan: Plan) -> None:
    document = json.loads(write_plan(plan))
    with pytest.raises(InvalidDocumentError) as refused:
        read_plan(json.dumps({**document, "version": "0.0.1"}).encode())
    assert [problem.path for problem in refused.value.problems] == ["version"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"null", b'{"version": 1}'])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        read_plan(text)


def test_a_damaged_plan_is_refused_with_the_place(plan: Plan) -> None:
    document = json.loads(write_plan(plan))
    document["plan"]["model"]["sandbox"]["level"] = "none"
    with pytest.raises(InvalidDocumentError) as refused:
        read_plan(json.dumps(document).encode())
    assert [problem.path for problem in refused.value.problems] == ["model.sandbox.level"]


def test_settings_keep_their_types(plan: Plan) -> None:
    options = replace(plan.options, options={"batch_size": 1, "overlap": 0.5, "tta": True, "precision": "1"})
    changed = replace(plan, model=replace(plan.model, options=options))
    values = read_plan(write_plan(changed)).options.options
    assert [type(value) for value in values.values()] == [int, float, bool, str]
