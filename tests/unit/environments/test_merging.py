"""Merging demands, and the contradictions that are seen without a resolver."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.torch_builds import project_text
from stemsep_envs.environments.torch_index import TorchIndex

TARGETS = ("cpu", "cu128", "rocm6.4")
MakeRecipe = Callable[..., RuntimeRecipe]


def test_all_parties_are_joined_and_remembered(recipe: MakeRecipe) -> None:
    engine = recipe()
    demands = [
        *runtime_demands(engine, model_type="extra", variant="fno"),
        model_demand("m", python=("3.11", "3.12"), builds={"cuda": ["12.8", "cu126"]}, packages=["numpy<3", "librosa"]),
    ]
    merged = merge(engine, demands)
    assert merged.conflicts == ()
    assert [str(party) for party in merged.parties] == ["runtime engine", "variant fno", "model m"]
    assert merged.python_minors() == ("3.12", "3.11")
    assert merged.builds == {"cuda": ("cu128", "cu126")}
    assert merged.source_distributions == ("torch-harmonics",)
    assert merged.lines() == (
        "einops",
        "librosa",
        "neuraloperator==1.0.2",
        "numpy<3,>=1.26",
        "torch>=2.4",
        "torchaudio",
    )
    origins = {want.text: str(want.source) for want in merged.packages}
    assert origins == {
        "numpy>=1.26": "runtime engine: packages[0]",
        "einops": "runtime engine: model_types.extra.packages[0]",
        "neuraloperator==1.0.2": "variant fno: variants.fno.packages[0]",
        "numpy<3": "model m: requirements.pip.packages[0]",
        "librosa": "model m: requirements.pip.packages[1]",
    }


def test_what_a_variant_builds_from_source_is_its_own(recipe: MakeRecipe) -> None:
    built = {"description": "x", "torch": {"min": "2.4"}, "source_distributions": {"Diff_Q": "no wheels"}}
    made = recipe(variants={"one": built, "other": {"description": "y"}})
    of_one = merge(made, runtime_demands(made, variant="one"))
    of_other = merge(made, runtime_demands(made, variant="other"))
    assert of_one.source_distributions == ("diff-q", "torch-harmonics")
    assert of_other.source_distributions == ("torch-harmonics",)


def test_excluded_package_is_locked_where_somebody_asks(recipe: MakeRecipe) -> None:
    lean = {"description": "x", "packages": ["neuraloperator"], "excluded": {"WandB": "telemetry", "h5py": "data"}}
    made = recipe(variants={"lean": lean}, excluded={"pesq": "a score", "NumPy": "asked for by the recipe itself"})
    demands = runtime_demands(made, variant="lean")
    assert merge(made, demands).excluded == ("h5py", "pesq", "wandb")
    assert merge(made, [*demands, model_demand("m", packages=("H5PY>=3",))]).excluded == ("pesq", "wandb")
    assert merge(made, runtime_demands(made)).excluded == ("pesq",)


def test_a_runtime_without_torch_installs_none(recipe: MakeRecipe) -> None:
    engine = recipe(torch=None, variants={})
    merged = merge(engine, runtime_demands(engine))
    assert merged.torch is None
    assert merged.torch_packages == ()
    assert merged.lines() == ("numpy>=1.26",)


def test_python_ranges_that_do_not_meet(recipe: MakeRecipe) -> None:
    engine = recipe()
    merged = merge(engine, [*runtime_demands(engine), model_demand("m", python=(None, "3.9"))])
    (conflict,) = merged.conflicts
    assert conflict.code == "python_unsatisfiable"
    assert "runtime engine: python.min asks for 3.10 or newer" in conflict.message
    assert "model m: requirements.python.max for 3.9 at most" in conflict.message
    assert conflict.path == "requirements.python.max"
    assert merged.python_minors() == ()


def test_torch_ranges_that_do_not_meet(recipe: MakeRecipe) -> None:
    engine = recipe()
    demands = [*runtime_demands(engine, variant="fno"), model_demand("m", torch=("2.3", "2.3"))]
    codes = {conflict.code for conflict in merge(engine, demands).conflicts}
    assert codes == {"torch_unsatisfiable"}
    words = merge(engine, demands).conflicts[0].message
    assert "variant fno: variants.fno.torch.min asks for 2.4 or newer" in words
    assert "model m: requirements.torch.max for 2.3 at most" in words


def test_builds_that_have_none_in_common(recipe: MakeRecipe) -> None:
    engine = recipe()
    models = (model_demand(name, builds={"cuda": [build]}) for name, build in (("a", "cu118"), ("b", "cu128")))
    demands = [*runtime_demands(engine), *models]
    (conflict,) = merge(engine, demands).conflicts
    assert conflict.message == "no CUDA build of torch can serve: model a allows cu118; model b allows cu128"
    assert conflict.about == ("torch",)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("numpy<2", "numpy>=2"),
        ("numpy==1.26.4", "numpy>=2"),
        ("numpy==1.26.4", "numpy==1.26.3"),
        ("NumPy~=1.26", "numpy>2"),
        ("numpy==1.*", "numpy>=2.0"),
        ("numpy>2,<2.1", "numpy==2.1.0"),
        ("numpy!=2.0", "numpy==2.0.0"),
    ],
)
def test_packages_that_no_version_can_serve(recipe: MakeRecipe, first: str, second: str) -> None:
    engine = recipe(packages=[first])
    merged = merge(engine, [*runtime_demands(engine), model_demand("m", packages=[second])])
    (conflict,) = merged.conflicts
    assert conflict.code == "packages_conflict"
    assert f"{first} (runtime engine: packages[0])" in conflict.message
    assert f"{second} (model m: requirements.pip.packages[0])" in conflict.message
    assert conflict.path == "requirements.pip.packages[0]"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("numpy>=1.26", "numpy<3"),
        ("numpy>=2.0", "numpy<=2.0"),
        ("numpy>2.0", "numpy<2.0.1"),
        ("numpy~=1.26", "numpy!=1.26"),
        ("numpy==1.*", "numpy>=1.26"),
        ("numpy", "numpy"),
        ("numpy<2", 'numpy>=2; python_version >= "3.13"'),
        ("numpy==2.0", "numpy===2.0"),
    ],
)
def test_packages_that_may_be_served_are_no_conflict(recipe: MakeRecipe, first: str, second: str) -> None:
    engine = recipe(packages=[first])
    merged = merge(engine, [*runtime_demands(engine), model_demand("m", packages=[second])])
    assert merged.conflicts == ()


def test_a_package_pin_against_the_torch_range(recipe: MakeRecipe) -> None:
    engine = recipe(packages=["torch==2.2.0"])
    (conflict,) = merge(engine, runtime_demands(engine)).conflicts
    assert conflict.code == "torch_unsatisfiable"
    assert "torch==2.2.0 (runtime engine: packages[0])" in conflict.message


def test_a_package_that_names_a_place(recipe: MakeRecipe) -> None:
    engine = recipe()
    wanted = "The_Engine @ https://example.org/engine.whl"
    (conflict,) = merge(engine, [*runtime_demands(engine), model_demand("m", packages=[wanted])]).conflicts
    assert (conflict.code, conflict.about) == ("package_url", ("the-engine",))
    assert conflict.path == "requirements.pip.packages[0]"


def test_every_conflict_is_told(recipe: MakeRecipe) -> None:
    engine = recipe()
    demand = model_demand("m", python=("3.14", None), torch=(None, "2.2"), packages=["numpy<1"])
    conflicts = merge(engine, [*runtime_demands(engine), demand]).conflicts
    assert [(conflict.code, conflict.about) for conflict in conflicts] == [
        ("python_unsatisfiable", ("python",)),
        ("torch_unsatisfiable", ("torch",)),
        ("packages_conflict", ("numpy",)),
    ]


def test_unknown_model_type_or_variant_is_a_callers_bug(recipe: MakeRecipe) -> None:
    with pytest.raises(KeyError):
        runtime_demands(recipe(), model_type="nothing")
    with pytest.raises(KeyError):
        runtime_demands(recipe(), variant="nothing")


def test_what_a_runtime_leaves_out_is_part_of_the_question(recipe: MakeRecipe) -> None:
    made = recipe(excluded={"Torch_Vision": "never imported"})
    merged = merge(made, runtime_demands(made))
    assert merged.excluded == ("torch-vision",)
    question = lock_inputs(merged, Target("linux-x86_64", "cpu"), "3.11")
    assert question.excluded == ("torch-vision",)
    assert '"torch-vision"' in project_text(question, TorchIndex("folder", "/srv/wheels"))


def test_packages_of_one_accelerator_are_asked_for_on_it_alone(recipe: MakeRecipe) -> None:
    made = recipe(accelerator_packages={"cpu": ["onnxruntime>=1"], "cuda": ["onnxruntime-gpu>=1"]})
    merged = merge(made, runtime_demands(made))
    asked = {name: lock_inputs(merged, parse_target(f"linux-x86_64-{name}"), "3.11").requires for name in TARGETS}
    assert "onnxruntime>=1" in asked["cpu"]
    assert "onnxruntime-gpu>=1" in asked["cu128"]
    assert not [line for line in asked["rocm6.4"] if "onnx" in line]
    assert not set(asked["cpu"]) & {"onnxruntime-gpu>=1"}
