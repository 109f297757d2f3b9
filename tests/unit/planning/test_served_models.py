"""Which models an environment serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stemsep_envs.cli.verbs.env_list import _models
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.target import Target
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import data_dir
from stemsep_envs.planning.served_models import _digest, _needs


def test_a_blocked_model_uses_no_environment(tmp_path: Path, isolated: Path) -> None:
    document: dict[str, Any] = json.loads((data_dir("registry") / "models.v2.source.json").read_bytes())
    entry = next(model for model in document["models"] if model["id"] == "dsp-hpss")
    blocked = {**entry, "id": "blocked", "status": {**entry["status"], "readiness": "blocked"}}
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({**document, "models": [entry, blocked]}))
    target = Target(this_machine().platform, "cpu")
    assert _digest("dsp-hpss", target, registry) is not None
    assert _digest("blocked", target, registry) is None
    asked, other = (_needs(ModelEntry.model_validate(model)) for model in (entry, blocked))
    assert asked != other  # or the one would be taken for the other


def test_a_few_models_are_named() -> None:
    assert _models(()) == "-"
    assert _models(("a", "b", "c")) == "a, b, c"
    assert _models(("a", "b", "c", "d", "e")) == "a, b, c and 2 more"
