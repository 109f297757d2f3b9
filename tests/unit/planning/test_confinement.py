"""Which sandbox a model's trust asks for, and that the choice fails closed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.confinement import choose_confinement, required_level
from stemsep_envs.sandbox.level_table import LEVEL_ORDER

Entry = Callable[..., ModelEntry]


def weights(filename: str, **more: str) -> dict[str, Any]:
    return {"primary": {"kind": "checkpoint", "filename": filename, "sha256": "a" * 64, **more}}


@pytest.mark.parametrize(
    ("changes", "trusted_registry", "level"),
    [
        ({}, True, "hygiene"),
        ({}, False, "landlock"),
        ({"trust": "unreviewed"}, True, "landlock"),
        # Weights bring no code: pickles are converted before the worker sees them.
        ({"artifacts": weights("m.safetensors")}, True, "hygiene"),
        ({"artifacts": weights("m.ckpt")}, True, "hygiene"),
        ({"artifacts": weights("m.ckpt"), "trust": "unreviewed"}, True, "landlock"),
        ({"artifacts": weights("m.ckpt", pickle="full")}, True, "namespaces"),
        ({"artifacts": weights("m.ckpt", pickle="full"), "trust": "unreviewed"}, False, "namespaces"),
        ({"artifacts": weights("m.ckpt", pickle="convert")}, True, "hygiene"),
    ],
)
def test_trust_is_of_code_and_of_what_is_unpickled(
    entry: Entry, recipe: RuntimeRecipe, changes: dict[str, Any], trusted_registry: bool, level: str
) -> None:
    assert required_level(entry(**changes), recipe, trusted_registry=trusted_registry) == level


def test_unreviewed_engine_always_needs_a_boundary(entry: Entry, recipe: RuntimeRecipe) -> None:
    stranger = recipe.model_copy(update={"trust": "unreviewed"})
    assert required_level(entry(), stranger, trusted_registry=True) == "landlock"


@pytest.mark.parametrize("asked", LEVEL_ORDER)
def test_a_level_that_is_asked_for_is_had_or_refused(
    entry: Entry, recipe: RuntimeRecipe, tmp_path: Path, asked: Any
) -> None:
    chosen = choose_confinement(entry(), recipe, home=Home(tmp_path), trusted_registry=True, asked=asked)
    if chosen.level is None:
        assert chosen.reasons
        assert all(reason.hint for reason in chosen.reasons)
    else:
        assert chosen.level == asked
        assert not chosen.lowered_by_flag


def test_less_than_is_needed_takes_a_flag_and_is_told(entry: Entry, recipe: RuntimeRecipe, tmp_path: Path) -> None:
    stranger, home = entry(trust="unreviewed"), Home(tmp_path)
    strict = choose_confinement(stranger, recipe, home=home, trusted_registry=True)
    assert strict.level != "hygiene"
    unheard = choose_confinement(stranger, recipe, home=home, trusted_registry=True, asked="hygiene")
    assert unheard.level != "hygiene"
    lowered = choose_confinement(stranger, recipe, home=home, trusted_registry=True, asked="hygiene", allowed="hygiene")
    assert (lowered.level, lowered.lowered_by_flag) == ("hygiene", True)
    assert [warning.code for warning in lowered.warnings] == ["sandbox_lowered"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions as POSIX has them")
def test_a_measurement_that_cannot_be_kept_is_made_all_the_same(
    entry: Entry, recipe: RuntimeRecipe, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    home = Home(tmp_path / "file")
    assert choose_confinement(entry(), recipe, home=home, trusted_registry=True).level is not None


def test_worker_with_accelerator_is_said_to_reach_its_driver(
    entry: Entry, recipe: RuntimeRecipe, tmp_path: Path
) -> None:
    def axes(*, gpu: bool) -> dict[str, str]:
        chosen = choose_confinement(entry(), recipe, home=Home(tmp_path), trusted_registry=True, gpu=gpu)
        return dict(chosen.axes)

    without, given = axes(gpu=False), axes(gpu=True)
    assert given["gpu"] == ("open" if without["gpu"] == "open" else "limited")
    assert {**given, "gpu": ""} == {**without, "gpu": ""}
