"""The registry in this repository, and the guide to adding to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from stemsep_envs.documents.addresses import page_problem, parse_address
from stemsep_envs.documents.registry import ModelEntry, parse_registry, registry_warnings
from stemsep_envs.registry.lint.linting import lint
from stemsep_envs.registry.recipes import known_runtimes, load_runtime
from stemsep_envs.registry.routing import check_recipe, choose_runtime
from stemsep_envs.registry.settings import resolve_settings

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "registry" / "models.v2.source.json"


@pytest.fixture(scope="module")
def models() -> tuple[ModelEntry, ...]:
    registry = parse_registry(SOURCE.read_bytes(), origin=str(SOURCE))
    assert list(registry_warnings(registry)) == []
    return registry.models


MEMORY_GB = (0.0, 4.0, 6.0, 8.0, 12.0, 24.0)


def test_all_public_models_and_our_own_are_here(models: tuple[ModelEntry, ...]) -> None:
    assert len(models) == 114 + 3
    assert sum(entry.architecture == "DSP" for entry in models) == 3


def test_recommended_settings_fit_every_allowed_runtime(
    models: tuple[ModelEntry, ...],
) -> None:
    recipes = {name: load_runtime(ROOT / "runtimes", name).recipe for name in known_runtimes(ROOT / "runtimes")}
    for entry in models:
        route = choose_runtime(entry, None, entry.runtime.allowed)
        stopped = entry.blocked or entry.catalog_status == "online_only"
        assert stopped == bool(route.reasons), entry.id
        for name in entry.runtime.allowed:
            recipe = recipes.get(name)
            if recipe is None or stopped:
                continue
            model_type = entry.runtime.model_type_on(name)
            assert check_recipe(entry, recipe) == (), entry.id
            fixed = recipe.model_types[str(model_type)].stems
            assert fixed is None or entry.stems == fixed
            for memory_gb in MEMORY_GB:
                settings = resolve_settings(entry, recipe, vram_gb=memory_gb)
                # What another runtime's engine has no word for is left out; the preferred one has them all.
                ignored = "setting_ignored" if name != entry.runtime.preferred else None
                told = [reason for reason in settings.warnings if reason.code != ignored]
                assert not settings.errors, entry.id
                assert not told, entry.id


def test_what_cannot_be_run_says_why(models: tuple[ModelEntry, ...]) -> None:
    for entry in models:
        if entry.catalog_status in {"blocked", "online_only", "manual_only"}:
            assert entry.status.blocking_reason, entry.id


def test_weights_have_an_address_or_are_marked_manual(
    models: tuple[ModelEntry, ...],
) -> None:
    for entry in models:
        if entry.architecture == "DSP" or entry.catalog_status not in {"candidate", "verified"}:
            continue
        primary = entry.artifacts.primary
        assert primary is not None, entry.id
        for place, artifact in entry.artifacts.each():
            assert artifact.url is not None, (entry.id, place)
            assert page_problem(parse_address(artifact.url)) is None, (entry.id, place)
            assert artifact.url.rsplit("/", 1)[-1] == artifact.filename, (entry.id, place)


def test_lint_finds_no_error_but_what_waits_for_recipes() -> None:
    recipes = {name: load_runtime(ROOT / "runtimes", name).recipe for name in known_runtimes(ROOT / "runtimes")}
    result = lint(SOURCE.read_text("utf-8"), recipes, origin=str(SOURCE))
    errors = {finding.code for finding in result.findings if finding.severity == "error"}
    assert errors == (set() if "audio-separator" in recipes else {"runtime_unreachable"})
    assert result.edits == ()


def test_only_these_may_lend_their_phase(models: tuple[ModelEntry, ...]) -> None:
    lenders = {entry.id for entry in models if entry.phase_fix.is_valid_reference}
    assert lenders == {"becruily-vocal", "bs-roformer-viperx-1297", "mel-band-roformer-kim"}


def test_variants_come_with_what_they_need(models: tuple[ModelEntry, ...]) -> None:
    varied = {entry.id: entry for entry in models if entry.runtime.variant}
    assert sorted((entry.runtime.variant, model_id) for model_id, entry in varied.items()) == [
        ("fno", "unwa-inst-fno"),
        ("hyperace_v1", "unwa-hyperace"),
        ("hyperace_v2", "unwa-hyperace-v2-inst"),
        ("hyperace_v2", "unwa-hyperace-v2-voc"),
    ]
    for entry in varied.values():
        kinds = [artifact.kind for _, artifact in entry.artifacts.each()]
        assert kinds.count("patch") == (0 if entry.runtime.variant == "fno" else 1)
    assert varied["unwa-inst-fno"].requirements.pip.packages == ("neuraloperator==1.0.2",)


def test_weight_free_models_name_their_papers(models: tuple[ModelEntry, ...]) -> None:
    for entry in models:
        if entry.architecture == "DSP":
            assert entry.trust == "reviewed"
            assert list(entry.artifacts.each()) == []
            assert all(paper.authors and paper.year and paper.venue for paper in entry.papers)
            assert entry.papers


def test_guide_explains_every_field_with_valid_example() -> None:
    guide = (ROOT / "registry" / "README.md").read_text("utf-8")
    for name, field in ModelEntry.model_fields.items():
        assert re.search(rf"\b{field.alias or name}\b", guide), name
    (example,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    registry = {"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": [json.loads(example)]}
    assert list(registry_warnings(parse_registry(json.dumps(registry), origin="README.md"))) == []
