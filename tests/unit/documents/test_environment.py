"""The environment's digest and the receipt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.base import parse_json
from stemsep_envs.documents.environment import (
    BaseInterpreter,
    Builder,
    EnvironmentInputs,
    HealthReport,
    InterpreterIdentity,
    Package,
    Receipt,
    Size,
)
from stemsep_envs.documents.target import Target
from stemsep_envs.errors import InvalidDocumentError

sha256s = st.binary(min_size=32, max_size=32).map(bytes.hex)
inputs_strategy = st.builds(
    EnvironmentInputs,
    target=st.builds(Target, st.sampled_from(["linux-x86_64", "linux-aarch64"]), st.sampled_from(["cpu", "cu128"])),
    interpreter=st.builds(
        InterpreterIdentity,
        implementation=st.just("cpython"),
        version=st.sampled_from(["3.11.7", "3.11.8"]),
        soabi=st.just("cpython-311-x86_64-linux-gnu"),
    ),
    lock=sha256s,
    engine=st.none() | sha256s,
)


def make_receipt(**changes: object) -> Receipt:
    """A receipt; ``changes`` replace fields."""
    inputs = EnvironmentInputs(
        target=Target("linux-x86_64", "cpu"),
        interpreter=InterpreterIdentity(
            implementation="cpython", version="3.11.7", soabi="cpython-311-x86_64-linux-gnu"
        ),
        lock="a" * 64,
    )
    fields: dict[str, object] = {
        "digest": inputs.digest,
        "inputs": inputs,
        "lock_inputs": "b" * 64,
        "built_for": ("runtime dsp",),
        "base_interpreter": BaseInterpreter(path="/usr/bin/python3.11", size_bytes=1, mtime_us=2),
        "packages": (Package(name="numpy", version="2.4.6"),),
        "builder": Builder(name="uv", version="0.13.8", link_mode="hardlink", link_reason="because"),
        "health": HealthReport(imports={"numpy": 0.1}, dependencies_consistent=True),
        "size": Size(files=1, bytes=2, shared_bytes=2),
        "steps_seconds": {"create": 0.1},
        "created_at": "2026-11-20T00:00:00+00:00",
        "created_by": "stemsep-envs 0.1.0",
    }
    return Receipt.model_validate({**fields, **changes})


@given(inputs_strategy)
def test_the_digest_survives_writing_and_reading(inputs: EnvironmentInputs) -> None:
    again = EnvironmentInputs.model_validate(json.loads(inputs.model_dump_json()))
    assert again == inputs
    assert again.digest == inputs.digest


@given(inputs_strategy, inputs_strategy)
def test_different_inputs_have_different_digests(a: EnvironmentInputs, b: EnvironmentInputs) -> None:
    assert (a == b) == (a.digest == b.digest)


def test_digest_is_the_same_on_any_machine_and_version() -> None:
    # Written down: a change here orphans every environment that users have built, so it needs a reason.
    assert make_receipt().digest == "2bcced94920802e348530b8eeeac011513bfc6bae1aeeaeaa48761619ffc3ba7"


def test_a_receipt_survives_writing_and_reading() -> None:
    receipt = make_receipt()
    assert parse_json(receipt.model_dump_json(), Receipt, origin="receipt.json") == receipt


def test_a_receipt_that_names_another_digest_is_refused() -> None:
    text = make_receipt().model_dump_json().replace(make_receipt().digest, "0" * 64)
    with pytest.raises(InvalidDocumentError) as caught:
        parse_json(text, Receipt, origin="receipt.json")
    assert "the digest is not that of the inputs" in str(caught.value.problems[0])
