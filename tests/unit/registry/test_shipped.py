"""The registry in this repository, and the guide to adding to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stemsep_envs.documents.registry import ModelEntry, parse_registry, registry_warnings
from stemsep_envs.registry.recipes import load_runtime
from stemsep_envs.registry.routing import check_recipe, choose_runtime
from stemsep_envs.registry.settings import resolve_settings

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "registry" / "models.v2.source.json"


@pytest.fixture(scope="module")
def models() -> tuple[ModelEntry, ...]:
    registry = parse_registry(SOURCE.read_bytes(), origin=str(SOURCE))
    assert list(registry_warnings(registry)) == []
    return registry.models


def test_each_model_runs_on_a_runtime_that_is_here_with_the_settings_it_recommends(
    models: tuple[ModelEntry, ...],
) -> None:
    for entry in models:
        route = choose_runtime(entry, None, [folder.name for folder in (ROOT / "runtimes").iterdir()])
        assert route.runtime is not None
        assert route.reasons == ()
        recipe = load_runtime(ROOT / "runtimes", route.runtime).recipe
        assert check_recipe(entry, recipe) == ()
        assert entry.stems == (recipe.model_types[str(entry.runtime.model_type)].stems or entry.stems)
        settings = resolve_settings(entry, recipe)
        assert settings.errors == settings.warnings == ()


def test_weight_free_models_name_their_papers(models: tuple[ModelEntry, ...]) -> None:
    for entry in models:
        if entry.architecture == "DSP":
            assert entry.trust == "reviewed"
            assert list(entry.artifacts.each()) == []
            assert all(paper.authors and paper.year and paper.venue for paper in entry.papers)
            assert entry.papers


def test_the_guide_explains_every_field_and_its_example_is_valid() -> None:
    guide = (ROOT / "registry" / "README.md").read_text("utf-8")
    for name, field in ModelEntry.model_fields.items():
        assert re.search(rf"\b{field.alias or name}\b", guide), name
    (example,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    registry = {"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [json.loads(example)]}
    assert list(registry_warnings(parse_registry(json.dumps(registry), origin="README.md"))) == []
