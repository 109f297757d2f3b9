"""What cannot live together stands side by side, what can is one; the impossible is refused before any download."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.questions import ask, lock_for, make_recipe, plan_here, versions

from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.errors import BuildError
from stemsep_envs.host.paths import Home

pytestmark = [pytest.mark.integration]

NUMPY: dict[str, object] = {
    "torch": None,
    "packages": [],
    "health": {"imports": ["numpy"]},
    "python": {"min": "3.10", "max": "3.12"},
}


def test_neuraloperator_1_with_torch_2_3_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", "none")
    recipe = make_recipe(source_distributions={"torch-harmonics": "no wheels", "neuraloperator": "no wheels"})
    requirements = ask(recipe, torch=("2.3", "2.3"), builds={"cuda": ["cu118"]}, packages=("neuraloperator==1.0.2",))
    assert requirements.conflicts == ()  # nobody says so directly: it takes the metadata of torch-harmonics
    with pytest.raises(BuildError) as caught:
        lock_for("linux-x86_64-cu118", requirements, Home(tmp_path))
    error = caught.value
    assert (error.code, error.exit_code) == ("unsatisfiable", 5)
    for words in (
        "neuraloperator==1.0.2 (model song-model: requirements.pip.packages[0])",
        "torch<2.4 (model song-model: requirements.torch.max)",
    ):
        assert words in error.message
    assert "torch-harmonics==0.7.3 depends on torch>=2.4.0" in error.output
    assert error.command is not None


def test_two_sets_that_exclude_each_other_stand_side_by_side(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    recipe = make_recipe(**NUMPY)
    old = ensure_environment(plan_here(recipe, home, model={"packages": ("numpy<2",)}), home=home)
    new = ensure_environment(plan_here(recipe, home, model={"packages": ("numpy>=2",)}), home=home)
    same = plan_here(recipe, home, model={"packages": ("NumPy>=2.0",)})
    assert old.digest != new.digest
    assert (same.digest, same.state) == (new.digest, "ready")  # the same need in other words
    (majors,) = [{environment.receipt.packages[0].version[0] for environment in (old, new)}]
    assert majors == {"1", "2"}
    assert [item.problem for item in environment_store.list_environments(home)] == [None, None]
    both = plan_here(recipe, home, model={"packages": ("numpy<2", "numpy>=2")})
    assert both.state == "impossible"


PACKAGES = ["numpy>=1.26", "Einops", "tqdm[notebook]>=4", "soundfile~=0.13.0", "numpy!=2.0", "av<19", "einops>=0.8.0"]


@settings(deadline=None)
@given(st.permutations(PACKAGES), st.permutations([0, 1, 2]), st.integers(0, 7))
def test_order_of_packages_does_not_change_the_question(packages: list[str], parties: list[int], cut: int) -> None:
    recipe = make_recipe()
    target = parse_target("linux-x86_64-cpu")

    def digest(first: list[str], second: list[str], order: list[int]) -> str:
        demands = [
            *runtime_demands(recipe),
            model_demand("a", packages=first, torch=("2.3", None)),
            model_demand("b", packages=second, torch=("2.3.0", "2.9")),
        ]
        merged = merge(recipe, [demands[index] for index in order])
        return lock_inputs(merged, target, "3.11").digest

    assert digest(packages[:cut], packages[cut:], parties) == digest(PACKAGES, [], [0, 1, 2])


@pytest.mark.skipif("UV_FIND_LINKS" not in os.environ, reason="needs a folder with a CPU build of torch")
def test_a_real_torch_build_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ["UV_FIND_LINKS"].split(",")[0].split()[0])
    if not list(folder.glob("torch-*+cpu-*cp311*linux*x86_64.whl")):
        pytest.skip("the folder has no such build")
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", str(folder))
    lock = lock_for("linux-x86_64-cpu", ask(make_recipe()), Home(tmp_path))
    assert versions(lock)["torch"].endswith("+cpu")
    assert not [name for name in versions(lock) if name.startswith("nvidia")]


def test_a_hundred_models_for_four_targets_ask_few_questions(tmp_path: Path) -> None:
    chance = random.Random(3)
    recipe = make_recipe(**NUMPY)
    needs = [["numpy<2"], ["numpy>=2"], ["numpy>=2", "einops"], ["einops", "numpy>=2.0"], []]
    targets = ["linux-x86_64-cpu", "linux-aarch64-cpu", "macos-arm64-cpu", "windows-x86_64-cpu"]
    digests = {
        lock_inputs(merge(recipe, [*runtime_demands(recipe), demand]), parse_target(target), "3.11").digest
        for demand in (model_demand(f"model-{number}", packages=chance.choice(needs)) for number in range(120))
        for target in targets
    }
    assert len(digests) == 4 * len(targets)
