"""What stands twice on purpose, since the sandbox lies between: each pair is equal.

Code inside environments imports nothing of ours and we nothing of it, so what both sides must agree on is written on
both. Where one side is changed alone, a test here says so (of audio formats: `documents/test_audio.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from stemsep_envs.artifacts import safetensors
from stemsep_envs.documents import protocol
from stemsep_envs.documents.run import RunRecord
from stemsep_envs.inside import audio_reading, failures, messages, params
from stemsep_envs.inside.checkpoints import converting, storing, tree, tree_building, values
from stemsep_envs.inside.checkpoints import reading as checkpoint_reading
from stemsep_envs.separation.output_options import MAX_SAMPLE_RATE
from stemsep_envs.worker import failures as worker_failures
from stemsep_envs.worker.messages import ProtocolViolation, parse_reply

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ROOT / "src" / "stemsep_envs" / "inside"


def test_protocol_version_and_line_bound_are_equal() -> None:
    assert params.PROTOCOL == protocol.PROTOCOL_VERSION
    assert messages.MAX_LINE_BYTES == protocol.MAX_LINE_BYTES


def test_the_highest_sample_rates_are_equal() -> None:
    assert params.SAMPLE_RATES[1] == MAX_SAMPLE_RATE
    facts = {"channels": 1, "frames": 1, "duration_seconds": 1.0, "container": "WAV", "subtype": "FLOAT"}
    parse_reply({**facts, "sample_rate": audio_reading.MAX_SAMPLE_RATE}, protocol.InputFacts)
    with pytest.raises(ProtocolViolation):
        parse_reply({**facts, "sample_rate": audio_reading.MAX_SAMPLE_RATE + 1}, protocol.InputFacts)


def test_artifact_formats_are_equal() -> None:
    formats = protocol.LoadedArtifact.model_fields["format"].annotation
    assert set(params.ARTIFACT_FORMATS) == set(get_args(formats))


def test_every_kind_of_failure_has_an_error_on_the_host() -> None:
    ours = worker_failures.USAGE_KINDS | worker_failures.LIMIT_KINDS | {"cancelled", "model_failed"}
    assert set(failures.KINDS) == ours


def test_requests_have_the_members_that_are_read_inside() -> None:
    """What the host writes of a request is what the worker's half names, in both directions."""
    separate = set(protocol.SeparateParams.model_fields)
    output = set(protocol.OutputRequest.model_fields)
    assert set(params.SeparateRequest._fields) == separate
    assert set(params.OutputRequest._fields) == output


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        (safetensors._TORCH_ITEM_BYTES, values.ITEM_BYTES),
        (safetensors.MAX_HEADER_BYTES, storing.MAX_HEADER_BYTES),
        (safetensors.MAX_NAMES, converting.MAX_NAMES),
        (safetensors.MAX_NOTES, converting.MAX_NOTES),
        (safetensors.MAX_KEY_PARTS, tree_building.MAX_KEY_PARTS),
        (safetensors.TREE_KEY, checkpoint_reading.TREE_KEY),
        (safetensors.REPORT_KEY, converting.REPORT_KEY),
        (safetensors.TREE_VERSION, tree.VERSION),
    ],
    ids=["torch types", "header", "names", "notes", "key parts", "tree key", "report key", "tree version"],
)
def test_converted_checkpoints_are_bounded_alike(host: object, inside: object) -> None:
    assert host == inside


def test_safetensors_types_that_are_written_are_read() -> None:
    for torch_type, written in tree_building._SAFETENSORS_TYPES.items():
        item_bytes = values.ITEM_BYTES[torch_type] // (2 if torch_type.startswith("complex") else 1)
        assert safetensors._ENTRY_ITEM_BYTES[written] == item_bytes


def test_gains_are_told_with_the_same_reasons() -> None:
    told = protocol.SeparateResult.model_fields["gain_reason"].annotation
    recorded = reason_of_tracks(RunRecord.model_json_schema())
    assert {reason for part in get_args(told) for reason in get_args(part)} == recorded


def reason_of_tracks(schema: Mapping[str, Any]) -> set[str]:
    found = [
        kind["properties"]["gain_reason"]
        for kind in schema["$defs"].values()
        if "gain_reason" in kind.get("properties", {})
    ]
    assert found
    return {word for field in found for choice in field["anyOf"] for word in choice.get("enum", ())}


def function_source(path: Path, name: str) -> str:
    """Return a function as it is written, without its docstring."""
    functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    (function,) = (node for node in functions if node.name == name)
    return "\n".join(ast.unparse(statement) for statement in function.body[1:])


def test_both_programs_load_the_package_alike() -> None:
    """Neither can import it from the other before it is loaded."""
    assert function_source(INSIDE / "entry.py", "load_inside") == function_source(INSIDE / "convert.py", "load_inside")
