"""Records: what makes two requests the same, and what code is told apart by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.planning.plan import Plan, PlanOptions, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.separation.code_digests import CodeDigests
from stemsep_envs.separation.output_options import output_options, output_plan
from stemsep_envs.separation.run_records import new_run_id, settings_digest

A, B = "a" * 64, "b" * 64


def planned(**options: Any) -> Plan:
    return refuse_if_blocked(plan_model("dsp-hpss", PlanOptions(**options)))


@pytest.fixture
def plain() -> Plan:
    return planned()


def digest(plan: Plan, environment: str = A, adapter: str = A, worker: str = A, **output: Any) -> str:
    whole = output_plan(Path("out"), output_options(**output))
    return settings_digest(plan, environment, whole, CodeDigests(worker=worker, adapter=adapter))


def test_everything_that_shapes_the_stems_is_in_the_digest(plain: Plan) -> None:
    different = [
        digest(plain),
        digest(plain, environment=B),
        digest(plain, adapter=B),
        digest(plain, worker=B),
        digest(planned(options={"overlap": 0.5})),
        digest(planned(assignments=("mask_power=1",))),
        *(
            digest(plain, **output)
            for output in (
                {"format": "flac"},
                {"bit_depth": "16"},
                {"sample_rate": "48000"},
                {"sample_rate": "model"},
                {"normalize": True},
                {"stems": ("harmonic",)},
                {"start_seconds": 1.0},
                {"duration_seconds": 1.0},
            )
        ),
    ]
    assert len(set(different)) == len(different)


def test_what_does_not_shape_them_is_not(plain: Plan) -> None:
    assert digest(plain) == digest(planned(options={"overlap": 0.75})) == digest(planned(confirm_manual_steps=True))
    assert digest(plain, stems=("harmonic", "percussive")) == digest(plain, stems=("percussive", "harmonic"))


def test_run_ids_sort_by_time_and_differ() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", run_id) for run_id in ids)
    assert [run_id[:16] for run_id in ids] == sorted(run_id[:16] for run_id in ids)
