"""From a checkpoint in pickle form to a run: converted before, shown to the worker alone, told in the record."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.conftest import Cli, Plant

from stemsep_envs import PlanOptions
from stemsep_envs.documents.events import ignore_event
from stemsep_envs.planning.plan import refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.environment import ensure_planned
from stemsep_envs.provisioning.fetch import with_files
from stemsep_envs.registry.recipes import Runtime
from stemsep_envs.sandbox.policy import LevelName
from stemsep_envs.separation.opening import open_planned

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="the levels are Linux's"),
]


class Payload:
    """Runs a command wherever it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def checkpoint(tmp_path: Path, marker: Path) -> Path:
    path = tmp_path / "weights" / "model.ckpt"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"state": np.arange(4.0), "epoch": 3, "extra": Payload(marker)}))
    return path


@pytest.fixture
def user(cli: Cli, tmp_path: Path, dsp_home: Path) -> Cli:
    """The command line with a home of its own that has the shared home's environment."""
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.mkdir()
    for name in ("environments", "holds", "locks"):
        (home / name).symlink_to(dsp_home / name)
    return Cli(tmp_path, {**cli.environ, "STEMSEP_ENV_HOME": str(home)})


def registry(plant: Plant, path: Path, **fields: Any) -> str:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    primary = {"kind": "checkpoint", "filename": path.name, "sha256": sha256, "url": path.as_uri(), **fields}
    return str(plant(artifacts={"primary": primary, "config": None, "additional": []}))


def test_a_run_loads_what_was_converted_and_says_so(
    user: Cli, plant: Plant, song: Path, checkpoint: Path, marker: Path
) -> None:
    planted = registry(plant, checkpoint)
    record = user("run", "planted", song, "-o", "out", "--registry", planted, "--json").document("run")
    (artifact,) = record["artifacts"]
    converted = artifact["converted"]
    assert converted["dangerous"] == converted["inert"] == [f"{os.system.__module__}.system"]
    assert not marker.exists()
    (made,) = Path(user.environ["STEMSEP_ENV_HOME"]).glob("artifacts/converted/*/checkpoint.safetensors")
    assert hashlib.sha256(made.read_bytes()).hexdigest() == converted["sha256"]
    assert made.parent.name == f"{artifact['sha256']}-{converted['converter']}"
    changed = made.stat()
    again = user("run", "planted", song, "-o", "out2", "--registry", planted, "--json").document("run")
    assert again["artifacts"] == record["artifacts"]
    assert made.stat() == changed  # once is enough
    for what in ("planted", str(checkpoint)):
        (item,) = user("artifacts", "inspect", what, "--registry", planted, "--json").document("artifacts.inspect")[
            "checkpoints"
        ]
        assert item["name"] == "model.ckpt"
        assert item["report"]["output_sha256"] == converted["sha256"]
        assert item["report"]["arrays"] == 1
    shown = user("artifacts", "inspect", "planted", "--registry", planted)
    assert "DANGEROUS  posix.system (called 1 times)" in shown.out
    assert not marker.exists()
    pickle.loads(checkpoint.read_bytes())
    assert marker.exists(), "the attack does not work where nothing stops it"


def test_ensure_converts_beforehand(user: Cli, plant: Plant, checkpoint: Path) -> None:
    answer = user("ensure", "planted", "--registry", registry(plant, checkpoint))
    assert answer.code == 0
    assert list(Path(user.environ["STEMSEP_ENV_HOME"]).glob("artifacts/converted/*/checkpoint.safetensors"))


def test_a_checkpoint_that_has_no_form_is_refused_in_words(
    user: Cli, plant: Plant, song: Path, checkpoint: Path
) -> None:
    checkpoint.write_bytes(b"PK\3\4 and no more")
    planted = registry(plant, checkpoint)
    for command in (("run", "planted", song, "-o", "out"), ("artifacts", "inspect", "planted"), ("ensure", "planted")):
        error = user(*command, "--registry", planted, "--json").error("checkpoint_refused", 1)
        assert "model.ckpt cannot be converted: it is a damaged zip archive" in error["message"]
    assert not (user.cwd / "out").exists() or not list((user.cwd / "out").rglob("*.wav"))


def test_engine_reading_pickles_needs_a_strong_level(user: Cli, plant: Plant, checkpoint: Path) -> None:
    planted = registry(plant, checkpoint, pickle="full")
    report = user("preflight", "planted", "--registry", planted, "--json").document("preflight")
    assert report["resolved"]["sandbox"]["required_level"] == "namespaces"
    # Asking for less than is needed lowers nothing; only --allow-level does, and the record tells.
    asked = user("preflight", "planted", "--registry", planted, "--sandbox", "landlock", "--json").document("preflight")
    assert asked["resolved"]["sandbox"]["level"] in ("container", "namespaces")


SPY = """
import os

def describe():
    return {"packages": [], "devices": ["cpu"]}

def load(request, context):
    return Model(request["artifacts"]["primary"])

class Model:
    stems = ["harmonic", "percussive"]
    sample_rate = None
    channels = [1, 2]

    def __init__(self, artifact):
        try:
            with open(RAW, "rb") as stream:
                found = "read %d bytes" % len(stream.read())
        except OSError as error:
            found = type(error).__name__
        with open(artifact["path"], "rb") as stream:
            header = stream.read(9)[8:].decode("latin-1")
        self.settings = {"raw": found, "header": header, **{key: artifact[key] for key in ("format", "filename")}}
"""


@pytest.mark.parametrize(("level", "use"), [("namespaces", "convert"), ("landlock", "convert"), ("namespaces", "full")])
def test_the_worker_sees_one_form_alone(
    user: Cli,
    plant: Plant,
    tmp_path: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    level: LevelName,
    use: str,
) -> None:
    _use(user.environ, monkeypatch)
    options = PlanOptions(registry_path=Path(registry(plant, checkpoint, pickle=use)), sandbox_level=level)
    (plan,) = with_files([refuse_if_blocked(plan_model("planted", options))], on_event=ignore_event)
    (artifact,) = plan.artifacts
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / plan.runtime.recipe.adapter).write_text(f"RAW = {str(artifact.path)!r}\n{SPY}")
    plan = replace(plan, model=replace(plan.model, runtime=Runtime(spy, plan.runtime.recipe)))
    with open_planned(plan, ensure_planned(plan), scratch_parent=tmp_path / "scratch") as session:
        said = dict(session.loaded.settings)
    assert said["filename"] == "model.ckpt"
    if use == "full":
        assert (said["format"], said["raw"]) == ("raw", f"read {checkpoint.stat().st_size} bytes")
    else:
        assert said["raw"] in ("FileNotFoundError", "PermissionError")
        assert (said["format"], said["header"]) == ("tree", "{")


def _use(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(environ) - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
