"""Which locks are asked for: the same targets that preflight says the model can use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.documents.target import Target, parse_target
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, runtime_demands
from stemsep_envs.errors import BlockedError
from stemsep_envs.host.paths import Home, data_dir
from stemsep_envs.planning import lock_requests, preflight
from stemsep_envs.planning.lock_requests import LockRequest, LockSelection, find_requests, next_request
from stemsep_envs.planning.plan import PlanOptions
from stemsep_envs.registry.recipes import load_runtime

TARGETS = tuple(map(parse_target, ("linux-x86_64-cpu", "linux-x86_64-cu128", "macos-arm64-mps")))
RECIPE = """
id = "tiny"
title = "Tiny"
description = "For tests."
accelerators = ["cpu", "cuda", "mps"]
packages = []
decodes = ["wav"]
encodes = ["wav"]
[python]
min = "3.11"
max = "3.11"
[torch]
min = "2.3"
[health]
imports = ["torch"]
[locks]
targets = ["linux-x86_64-cpu", "linux-x86_64-cu128", "macos-arm64-mps"]
[model_types.plain]
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a registry of models, named by their devices, that run on a made-up runtime."""
    (tmp_path / "runtimes" / "tiny").mkdir(parents=True)
    (tmp_path / "runtimes" / "tiny" / "runtime.toml").write_text(RECIPE)
    for module in (lock_requests, preflight):
        monkeypatch.setattr(module, "data_dir", lambda name: tmp_path / name)

    def write(**devices: list[str]) -> Path:
        path = tmp_path / "models.json"
        document = {
            "version": "2.0",
            "generated_at": "2026-01-01T00:00:00Z",
            "source": {"tool": "tests", "repo": None, "commit": None, "notes": None},
            "models": [model(name, names) for name, names in devices.items()],
        }
        path.write_text(json.dumps(document))
        return path

    return write


def model(name: str, devices: list[str]) -> dict[str, Any]:
    runtime = {"preferred": "tiny", "allowed": ["tiny"], "model_type": "plain", "devices": devices}
    return {"id": name, "name": name, "architecture": "Other", "links": {}, "runtime": runtime}


def locked(selection: LockSelection, home: Path) -> set[Target]:
    requests, _ = find_requests(selection, home=Home(home))
    return {request.inputs.target for request in requests}


@pytest.mark.parametrize("devices", [[], ["cuda"], ["cpu", "mps"]])
def test_lock_and_preflight_agree_on_targets(registry: Callable[..., Path], isolated: Path, devices: list[str]) -> None:
    path = registry(one=devices)
    usable = set()
    for target in TARGETS:
        report = preflight.plan_model("one", PlanOptions(registry_path=path, target=str(target))).report
        if all(error.code != "target_not_supported" for error in report.errors):
            usable.add(target)
    assert locked(LockSelection(targets=TARGETS, registry_path=path), isolated) == usable
    assert len(usable) == len(devices or TARGETS)


def test_a_cuda_only_model_is_not_locked_for_cpu(registry: Callable[..., Path], isolated: Path) -> None:
    selection = LockSelection(targets=TARGETS, registry_path=registry(one=["cuda"]))
    requests, skipped = find_requests(selection, home=Home(isolated))
    assert [str(request.inputs.target) for request in requests] == ["linux-x86_64-cu128"]
    assert [(item.model, str(item.target)) for item in skipped] == [
        ("one", "linux-x86_64-cpu"),
        ("one", "macos-arm64-mps"),
    ]
    assert skipped[0].reason == "linux-x86_64-cpu cannot be used: runtime tiny, model one allow cuda"


def test_a_named_target_that_cannot_serve_blocks(registry: Callable[..., Path], isolated: Path) -> None:
    selection = LockSelection(model_ids=("one",), targets=TARGETS[:1], registry_path=registry(one=["cuda"]))
    with pytest.raises(BlockedError) as caught:
        find_requests(selection, home=Home(isolated))
    assert [reason.code for reason in caught.value.reasons] == ["target_not_supported"]


def test_a_named_model_needs_one_shipped_target(registry: Callable[..., Path], isolated: Path) -> None:
    selection = LockSelection(model_ids=("one",), shipped=True, registry_path=registry(one=["cuda"]))
    assert locked(selection, isolated) == {TARGETS[1]}
    with pytest.raises(BlockedError):
        find_requests(
            LockSelection(model_ids=("two",), shipped=True, registry_path=registry(two=["rocm"])), home=Home(isolated)
        )


def test_devices_the_runtime_lacks_are_not_locked(registry: Callable[..., Path], isolated: Path) -> None:
    selection = LockSelection(shipped=True, registry_path=registry(one=["rocm"]))
    requests, skipped = find_requests(selection, home=Home(isolated))
    assert requests == ()
    assert [item.reason for item in skipped] == ["one runs on rocm; tiny uses cpu, cuda, mps"]


@pytest.fixture
def dsp() -> LockRequest:
    runtime = load_runtime(data_dir("runtimes"), "dsp")
    needs = merge(runtime.recipe, runtime_demands(runtime.recipe))
    inputs = lock_inputs(needs, TARGETS[0], "3.12")
    return LockRequest(runtime, None, ("m",), needs, inputs, is_plain=True, older=("3.11", "3.10"))


def test_the_next_dspchanges_what_depends_on_the_python(dsp: LockRequest) -> None:
    following = next_request(dsp)
    assert following is not None
    assert (following.inputs.python, following.older) == ("3.11", ("3.10",))
    assert following.name == dsp.name.replace("-py312", "-py311")
    special = replace(dsp, is_plain=False)
    assert special.name == f"{dsp.name.removesuffix('.txt')}-{dsp.inputs.digest[:8]}.txt"
    assert next_request(replace(dsp, older=())) is None
