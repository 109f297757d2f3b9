"""What ``registry list --json`` prints."""

from __future__ import annotations

import json

from stemsep_envs.documents.listed_model import ListedModel
from stemsep_envs.documents.registry_reports import RegistryListing
from stemsep_envs.documents.writing import json_text


def test_a_listed_model_is_written_with_its_fields_alone() -> None:
    model = ListedModel("one", "One", "DSP", "", "dsp", "verified", "", ("vocals",))
    (written,) = json.loads(json_text(RegistryListing(path="r.json", models=(model,))))["models"]
    assert written == {
        "id": "one",
        "name": "One",
        "architecture": "DSP",
        "type": "",
        "runtime": "dsp",
        "catalog_status": "verified",
        "readiness": "",
        "stems": ["vocals"],
    }
