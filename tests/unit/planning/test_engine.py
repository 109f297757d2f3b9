"""Which files of a model its engine takes, and when the engine has a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.recipes import make_recipe

from stemsep_envs.host.paths import Home
from stemsep_envs.planning.engine import ModelFile, PlannedEngine, find_file, planned_engine
from stemsep_envs.registry.recipes import Runtime

A, B, C = "a" * 64, "b" * 64, "c" * 64
WEIGHTS = ModelFile("primary", "model.ckpt", "weights", A, None)
CONFIG = ModelFile("config", "config.yaml", "config", None, None)
CODE = ModelFile("additional[0]", "net.py", "patch", B, None)
OTHER = ModelFile("additional[1]", "more.py", "other", None, None)
ALL = (WEIGHTS, CONFIG, CODE, OTHER)


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        ("primary", WEIGHTS),
        ("model.ckpt", WEIGHTS),
        ("config", CONFIG),
        ("config.yaml", CONFIG),
        ("net.py", CODE),
        ("patch", CODE),
        ("other", OTHER),
        ("weights", WEIGHTS),
    ],
)
def test_a_file_is_found_by_name_file_name_or_kind(wanted: str, file: ModelFile) -> None:
    assert find_file(wanted, ALL) == (file, "")


def test_a_name_goes_before_a_file_name_and_that_before_a_kind() -> None:
    odd = (ModelFile("primary", "patch", "weights", A, None), ModelFile("config", "primary", "patch", B, None))
    assert find_file("primary", odd)[0] is odd[0]
    assert find_file("patch", odd)[0] is odd[0]


def test_what_is_not_clear_is_not_guessed() -> None:
    second = ModelFile("additional[2]", "third.py", "patch", None, None)
    found, words = find_file("patch", (*ALL, second))
    assert found is None
    assert words.startswith("artifact:patch names several files of the model by their kind: ")
    assert words.endswith("additional[0] (net.py), additional[2] (third.py)")
    assert find_file("net.py", (*ALL, second))[0] is CODE
    found, words = find_file("Patch", ALL)
    assert found is None
    assert "primary (model.ckpt, weights)" in words
    assert find_file("patch", ())[1].endswith("it has no file at all")


def runtime(tmp_path: Path, **step: object) -> Runtime:
    taken = {"kind": "replace", "path": "net.py", "base_sha256": C, "source": "artifact:patch", **step}
    recipe = make_recipe(
        id="toy",
        engine={"repository": tmp_path.as_uri(), "commit": "c" * 40},
        variants={"brought": {"description": "The model's own code.", "patches": [taken]}},
    )
    return Runtime(tmp_path, recipe)


def planned(tmp_path: Path, *files: ModelFile, **step: object) -> PlannedEngine:
    engine = planned_engine(runtime(tmp_path, **step), "brought", files)
    assert engine is not None
    return engine


def test_different_files_give_different_engines(tmp_path: Path) -> None:
    digests = {
        planned(tmp_path, ModelFile("additional[0]", "net.py", "patch", sha256, None)).digest for sha256 in (A, B)
    }
    stock = planned_engine(runtime(tmp_path), None, ALL)
    assert stock is not None
    assert len({*digests, stock.digest} - {None}) == 3


def test_an_engine_has_no_name_before_the_file_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    unknown = planned(tmp_path, ModelFile("additional[0]", "net.py", "patch", None, None))
    assert unknown.digest is None
    assert unknown.reasons(home, offline=True) == (), "whether the file can be had is told of the file itself"
    assert unknown.state_of("net.py", home) is True
    assert unknown.state_of("other.py", home) is None
    with pytest.raises(ValueError, match="has no name"):
        unknown.tree_dir(home)


def test_a_model_without_the_file_is_refused(tmp_path: Path) -> None:
    (reason,) = planned(tmp_path, WEIGHTS, CONFIG).reasons(Home(tmp_path), offline=True)
    assert (reason.code, reason.path) == ("engine_file_missing", "artifacts")
    assert "'patch'" in reason.message


def test_a_recipe_that_wants_another_file_says_both_hashes(tmp_path: Path) -> None:
    (reason,) = planned(tmp_path, *ALL, source_sha256=A).reasons(Home(tmp_path), offline=True)
    assert (reason.code, reason.path) == ("patch_mismatch", "artifacts.additional[0]")
    assert A in reason.message
    assert B in reason.message
    assert planned(tmp_path, *ALL, source_sha256=B).problems == ()
