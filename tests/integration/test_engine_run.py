"""A runtime with an engine of its own: fetched, patched, and found by its adapter inside a confined environment."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from stemsep_envs import PlanOptions, preflight, separate
from stemsep_envs.commands import ensure as ensure_command
from stemsep_envs.commands import preflight as preflight_command
from stemsep_envs.host.paths import data_dir

pytestmark = pytest.mark.integration

ENGINE = 'GAIN = 1.0\n\n\ndef separate(block):\n    """Return the one stem."""\n    return block * GAIN\n'

ADAPTER = """
import toy_engine


def describe():
    return {"packages": ["numpy"], "devices": ["cpu"]}


def load(request, context):
    return Model()


class Model:
    stems = ["scaled"]
    sample_rate = None
    channels = [1, 2]
    settings = {}

    def separate(self, source, sinks, context):
        while True:
            block = source.read(65536)
            if not len(block):
                return
            sinks["scaled"].write(toy_engine.separate(block))
"""


@pytest.fixture
def engine_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    repository = tmp_path / "engine"
    (repository / "src").mkdir(parents=True)
    (repository / "src" / "toy_engine.py").write_text(ENGINE)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "one"]):
        identity = ["-c", "user.name=toy", "-c", "user.email=toy@example.invalid"]
        subprocess.run(["git", *identity, *command], cwd=repository, check=True, timeout=60)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, timeout=60, capture_output=True, text=True
    )
    return head.stdout.strip()


@pytest.fixture
def toy_runtimes(tmp_path: Path, engine_commit: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runtimes" / "toy"
    folder.mkdir(parents=True)
    recipe = (data_dir("runtimes") / "dsp" / "runtime.toml").read_text("utf-8")
    packages = recipe[recipe.index("packages = [") : recipe.index("decodes")]
    base = hashlib.sha256(ENGINE.encode()).hexdigest()
    (folder / "adapter.py").write_text(ADAPTER)
    (folder / "runtime.toml").write_text(
        f'''
schema_version = 1
id = "toy"
title = "Toy"
description = "An engine of one function."
accelerators = ["cpu"]
{packages}
decodes = ["wav"]
encodes = ["wav"]

[python]
min = "3.10"
max = "3.14"

[engine]
repository = "file://{tmp_path / "engine"}"
commit = "{engine_commit}"
package_dir = "src"

[health]
imports = ["numpy", "soundfile"]

[model_types.toy]
stems = ["scaled"]

[variants.half]
description = "Half as loud."

[[variants.half.patches]]
kind = "substitute"
path = "src/toy_engine.py"
base_sha256 = "{base}"
find = "GAIN = 1.0"
replace = "GAIN = 0.5"
'''
    )
    runtimes = folder.parent
    for module in (preflight_command, ensure_command):
        monkeypatch.setattr(module, "data_dir", lambda name: runtimes if name == "runtimes" else data_dir(name))
    return runtimes


@pytest.fixture
def toy_registry(tmp_path: Path) -> Path:
    def entry(model_id: str, variant: str | None) -> dict[str, object]:
        return {
            "id": model_id,
            "name": model_id,
            "architecture": "Other",
            "links": {},
            "stems": ["scaled"],
            "runtime": {"allowed": ["toy"], "preferred": "toy", "model_type": "toy", "variant": variant},
            "requirements": {"files": {"expects": ["src/toy_engine.py"]}},
        }

    path = tmp_path / "registry.json"
    models = [entry("toy-stock", None), entry("toy-half", "half")]
    path.write_text(json.dumps({"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": models}))
    return path


@pytest.mark.usefixtures("toy_runtimes")
def test_stock_and_patched_engines_run_side_by_side(toy_registry: Path, song: Path, tmp_path: Path) -> None:
    options = PlanOptions(registry_path=toy_registry, allow_level="hygiene")
    before = preflight("toy-half", options=options)
    assert before.resolved is not None
    assert [status.status for status in before.resolved.requirements_status.files] == ["ok"]
    records = {model: separate(model, song, tmp_path / "out", options=options) for model in ("toy-stock", "toy-half")}
    peaks = {}
    for model, record in records.items():
        assert record.exit_code == 0, record.tracks[0].error
        assert record.runtime.engine_digest is not None
        peaks[model] = record.tracks[0].outputs[0].peak
    assert peaks["toy-half"] == pytest.approx(peaks["toy-stock"] / 2, rel=1e-6)
    assert records["toy-stock"].runtime.engine_digest != records["toy-half"].runtime.engine_digest
    after = preflight("toy-stock", options=options)
    assert after.resolved is not None
    assert after.resolved.requirements_status.files[0].status == "ok"
    assert after.resolved.environment.state == "ready"


def test_an_engine_that_is_missing_offline_is_named_first(toy_runtimes: Path, toy_registry: Path) -> None:
    recipe = toy_runtimes / "toy" / "runtime.toml"
    text = recipe.read_text("utf-8")
    local = next(line for line in text.splitlines() if line.startswith("repository"))
    elsewhere = text.replace(local, 'repository = "https://example.invalid/engine"')
    commit = next(line for line in text.splitlines() if line.startswith("commit"))
    recipe.write_text(elsewhere.replace(commit, f'commit = "{"0" * 40}"'))
    options = PlanOptions(registry_path=toy_registry, allow_level="hygiene", offline=True)
    report = preflight("toy-stock", options=options)
    assert not report.can_proceed
    assert "offline" in {error.code for error in report.errors}
