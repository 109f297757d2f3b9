"""The JSON Schemas (draft 2020-12) of every document and message, generated from the models.

They are committed under ``schemas/`` for other programs; ``make schemas`` writes them and a test holds them equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from stemsep_envs.documents.adopt_report import AdoptReport
from stemsep_envs.documents.artifacts import (
    AddedArtifact,
    ArtifactCollectionReport,
    ArtifactListing,
    ArtifactVerifyReport,
    IndexEntry,
)
from stemsep_envs.documents.checkpoint import CheckpointReport, InspectReport
from stemsep_envs.documents.configuration import Configuration
from stemsep_envs.documents.doctor_report import DoctorReport
from stemsep_envs.documents.dry_run_report import DryRunReport
from stemsep_envs.documents.ensure_report import EnsureReport
from stemsep_envs.documents.environment import Receipt
from stemsep_envs.documents.environment_manifest import Manifest
from stemsep_envs.documents.environment_reports import (
    CollectionReport,
    EnvironmentDetails,
    EnvironmentListing,
    RepairReport,
    VerifyReport,
)
from stemsep_envs.documents.events import Event
from stemsep_envs.documents.lock_reports import LockReport
from stemsep_envs.documents.preflight import PreflightReport
from stemsep_envs.documents.protocol import (
    CancelParams,
    ErrorObject,
    InitializeParams,
    InitializeResult,
    LoadParams,
    LoadResult,
    LogParams,
    ProgressParams,
    SeparateParams,
    SeparateResult,
)
from stemsep_envs.documents.registry import Registry
from stemsep_envs.documents.registry_lint import LintReport, LintRules
from stemsep_envs.documents.registry_reports import RegistryListing, ValidationReport
from stemsep_envs.documents.reports import ErrorReport
from stemsep_envs.documents.run import RunRecord
from stemsep_envs.documents.runtime import RuntimeRecipe

DIALECT = GenerateJsonSchema.schema_dialect

READ: Mapping[str, type[BaseModel]] = {
    "models.v2": Registry,
    "runtime": RuntimeRecipe,
    "config": Configuration,
    "worker.initialize.result": InitializeResult,
    "worker.load.result": LoadResult,
    "worker.separate.result": SeparateResult,
    "worker.progress.params": ProgressParams,
    "worker.log.params": LogParams,
    "worker.error": ErrorObject,
}
"""What this program reads: the schema describes what is accepted."""

WRITTEN: Mapping[str, type[BaseModel]] = {
    "preflight": PreflightReport,
    "ensure": EnsureReport,
    "artifacts.inspect": InspectReport,
    "checkpoint": CheckpointReport,
    "run": RunRecord,
    "run.dry": DryRunReport,
    "event": Event,
    "error": ErrorReport,
    "doctor": DoctorReport,
    "env.list": EnvironmentListing,
    "env.show": EnvironmentDetails,
    "env.verify": VerifyReport,
    "env.repair": RepairReport,
    "env.adopt": AdoptReport,
    "env.gc": CollectionReport,
    "artifacts.add": AddedArtifact,
    "artifacts.list": ArtifactListing,
    "artifacts.verify": ArtifactVerifyReport,
    "artifacts.gc": ArtifactCollectionReport,
    "artifacts.index": IndexEntry,
    "receipt": Receipt,
    "lock": LockReport,
    "manifest": Manifest,
    "registry.list": RegistryListing,
    "registry.validate": ValidationReport,
    "registry.lint": LintReport,
    "registry.lint.rules": LintRules,
    "worker.initialize.params": InitializeParams,
    "worker.load.params": LoadParams,
    "worker.separate.params": SeparateParams,
    "worker.cancel.params": CancelParams,
}
"""What this program writes: the schema describes what is always there."""


def schema_texts() -> dict[str, str]:
    """Return the text of every schema by its file name, such as ``run.schema.json``."""
    texts = {f"{name}.schema.json": _text(name, model, "validation") for name, model in READ.items()}
    texts |= {f"{name}.schema.json": _text(name, model, "serialization") for name, model in WRITTEN.items()}
    return dict(sorted(texts.items()))


def _text(name: str, model: type[BaseModel], mode: JsonSchemaMode) -> str:
    schema: dict[str, Any] = {"$schema": DIALECT, "$id": f"urn:stemsep-envs:{name}"}
    schema |= model.model_json_schema(mode=mode)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
