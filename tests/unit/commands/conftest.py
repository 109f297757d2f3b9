"""A registry file of two models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.host.paths import default_registry_path


@pytest.fixture
def registry(tmp_path: Path, shipped_entries: dict[str, dict[str, Any]]) -> Path:
    other = {**shipped_entries["dsp-hpss"], "id": "other", "stems": ["vocals"], "mood": "blue"}
    other["runtime"] = {**other["runtime"], "allowed": ["msst"], "preferred": None}
    document = json.loads(default_registry_path().read_text("utf-8"))
    document["models"] = [shipped_entries["dsp-hpss"], other]
    path = tmp_path / "models.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
