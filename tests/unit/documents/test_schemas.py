"""The committed schemas are the ones that the models give, and an independent judge finds them sound."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from stemsep_envs.documents.schemas import schema_texts
from stemsep_envs.host.paths import data_dir, default_registry_path

SCHEMAS = data_dir("schemas")


def test_the_committed_schemas_are_the_generated_ones() -> None:
    committed = {path.name: path.read_text("utf-8") for path in SCHEMAS.glob("*.json")}
    assert committed == schema_texts(), "run `make generate`"


@pytest.mark.parametrize("name", sorted(schema_texts()))
def test_each_is_a_sound_schema_of_its_dialect(name: str) -> None:
    schema = json.loads((SCHEMAS / name).read_text("utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_shipped_registry_is_valid_to_an_independent_judge() -> None:
    schema = json.loads((SCHEMAS / "models.v2.schema.json").read_text("utf-8"))
    registry = json.loads(Path(default_registry_path()).read_text("utf-8"))
    problems = list(jsonschema.Draft202012Validator(schema).iter_errors(registry))
    assert not problems


def test_the_registry_schema_refuses_what_the_models_refuse() -> None:
    schema = json.loads((SCHEMAS / "models.v2.schema.json").read_text("utf-8"))
    judge = jsonschema.Draft202012Validator(schema)
    assert list(judge.iter_errors({"version": "2.0", "models": [{"id": "No Such Id"}]}))
    assert list(judge.iter_errors([]))
