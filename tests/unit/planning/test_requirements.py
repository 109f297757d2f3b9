"""What a model needs on a runtime."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.requirements import Party
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.host.paths import data_dir
from stemsep_envs.planning.requirements import device_reasons, requirements_of
from stemsep_envs.registry.recipes import load_runtime

Entry = Callable[..., ModelEntry]


@pytest.fixture
def torch_recipe() -> RuntimeRecipe:
    """A runtime that can use several accelerators."""
    return load_runtime(data_dir("runtimes"), "msst").recipe


def on_msst(entry: Entry, **changes: object) -> ModelEntry:
    runtime = {"preferred": "msst", "allowed": ["msst"], "model_type": "mdx23c"}
    return entry(runtime=runtime, **changes)


def test_without_devices_all_of_the_runtime(entry: Entry, torch_recipe: RuntimeRecipe) -> None:
    assert requirements_of(on_msst(entry), torch_recipe).accelerators == torch_recipe.accelerators


def test_devices_narrow_the_accelerators(entry: Entry, torch_recipe: RuntimeRecipe) -> None:
    model = on_msst(entry, runtime__devices=["cuda", "made-up"])
    assert requirements_of(model, torch_recipe).accelerators == ("cuda",)


def test_the_model_and_the_runtime_are_both_parties(entry: Entry, torch_recipe: RuntimeRecipe) -> None:
    model = on_msst(entry, requirements__python={"min": "3.11", "max": None})
    requirements = requirements_of(model, torch_recipe)
    assert [str(party) for party in requirements.parties] == ["runtime msst", "model dsp-hpss"]
    assert requirements.python.lower is not None
    assert requirements.python.lower.source.party == Party("model", "dsp-hpss")


def test_devices_the_runtime_lacks_refuse_the_model(entry: Entry, recipe: RuntimeRecipe) -> None:
    assert device_reasons(entry(), recipe) == ()
    assert device_reasons(entry(runtime__devices=["cuda", "cpu"]), recipe) == ()
    (reason,) = device_reasons(entry(runtime__devices=["cuda", "mps"]), recipe)
    assert (reason.code, reason.path) == ("target_not_supported", "runtime.devices")
