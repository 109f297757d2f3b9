"""A runtime with an engine of its own: fetched, patched, and found by its adapter inside a confined environment."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stemsep_envs import PlanOptions, ensure, preflight, separate
from stemsep_envs.artifacts.blobs import blob_path
from stemsep_envs.errors import BlockedError, MismatchError
from stemsep_envs.host.paths import data_dir, find_home
from stemsep_envs.planning import preflight as preflight_command
from stemsep_envs.provisioning import witnesses

pytestmark = pytest.mark.integration

ENGINE = 'GAIN = 1.0\n\n\ndef separate(block):\n    """Return the one stem."""\n    return block * GAIN\n'

BROUGHT = "from {package} import GAIN\n\n\ndef separate(block):\n    return block * GAIN * {factor}\n"
GAIN = "GAIN = 0.25\n"

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
    for name in ("json", "queue", "threading", "wave"):  # like modules that the worker needs itself
        (repository / "src" / f"{name}.py").write_text("raise ImportError('the engine has a module of this name')\n")
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
    (folder / "gain.py").write_text(GAIN)
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

[variants.brought]
description = "The model's own code, told apart by its content."

[variants.brought.weights]
have = ['^brought[.]']

[[variants.brought.patches]]
kind = "replace"
path = "src/toy_engine.py"
base_sha256 = "{base}"
source = "artifact:patch"

[[variants.brought.patches]]
kind = "substitute"
path = "src/toy_engine.py"
find = ["from toy.gain import GAIN", "from .gain import GAIN"]
replace = "from toy_gain import GAIN"

[[variants.brought.patches]]
kind = "add"
path = "src/toy_gain.py"
source = "gain.py"
source_sha256 = "{hashlib.sha256(GAIN.encode()).hexdigest()}"
'''
    )
    runtimes = folder.parent
    for module in (preflight_command, witnesses):
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


def brought_registry(folder: Path, sources: Mapping[str, str], *, known: bool = True) -> Path:
    """Write a registry of models that bring their own code: by id, its text."""
    models = []
    for model_id, text in sources.items():
        code = {"kind": "patch", "filename": "toy_engine.py", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        if not known:
            del code["sha256"]
        models.append(
            {
                "id": model_id,
                "name": model_id,
                "architecture": "Other",
                "links": {},
                "stems": ["scaled"],
                "artifacts": {"additional": [code]},
                "runtime": {"allowed": ["toy"], "preferred": "toy", "model_type": "toy", "variant": "brought"},
            }
        )
    path = folder / "brought.json"
    path.write_text(json.dumps({"version": "2.0", "generated_at": "2026-01-01T00:00:00Z", "models": models}))
    return path


def put_in(text: str) -> None:
    """Have a file of a model in the home, as if it had been fetched."""
    path = blob_path(find_home(), hashlib.sha256(text.encode()).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.usefixtures("toy_runtimes")
def test_models_with_own_code_have_engines_of_their_own(song: Path, tmp_path: Path) -> None:
    sources = {
        "toy-one": BROUGHT.format(package="toy.gain", factor="1.0"),
        "toy-two": BROUGHT.format(package=".gain", factor="2.0"),
    }
    for text in sources.values():
        put_in(text)
    options = PlanOptions(registry_path=brought_registry(tmp_path, sources), allow_level="hygiene")
    records = {model: separate(model, song, tmp_path / "out", options=options) for model in sources}
    peaks = {}
    for model, record in records.items():
        assert record.exit_code == 0, record.tracks[0].error
        peaks[model] = record.tracks[0].outputs[0].peak
    assert peaks["toy-two"] == pytest.approx(peaks["toy-one"] * 2, rel=1e-6)
    assert records["toy-one"].runtime.engine_digest != records["toy-two"].runtime.engine_digest


@pytest.mark.usefixtures("toy_runtimes")
def test_code_that_does_not_fit_the_variant_is_refused(song: Path, tmp_path: Path) -> None:
    text = "GAIN = 1.0\n"
    put_in(text)
    options = PlanOptions(registry_path=brought_registry(tmp_path, {"toy-odd": text}), allow_level="hygiene")
    with pytest.raises(MismatchError, match="none of the texts is there") as caught:
        separate("toy-odd", song, tmp_path / "out", options=options)
    assert caught.value.code == "patch_mismatch"


@pytest.mark.usefixtures("toy_runtimes")
def test_before_its_code_is_known_a_model_has_no_environment(tmp_path: Path) -> None:
    path = brought_registry(tmp_path, {"toy-one": "unknown"}, known=False)
    report = preflight("toy-one", options=PlanOptions(registry_path=path, allow_level="hygiene"))
    assert report.resolved is not None
    assert (report.resolved.environment.state, report.resolved.environment.digest) == ("to_fetch", None)
    assert "engine_file_missing" not in {error.code for error in report.errors}


@pytest.mark.usefixtures("toy_runtimes")
def test_fetched_code_names_the_engine(tmp_path: Path) -> None:
    text = BROUGHT.format(package=".gain", factor="4.0")
    published = tmp_path / "published.py"
    published.write_text(text)
    path = brought_registry(tmp_path, {"toy-new": text}, known=False)
    document = json.loads(path.read_text("utf-8"))
    document["models"][0]["artifacts"]["additional"][0]["url"] = published.as_uri()
    path.write_text(json.dumps(document))
    options = PlanOptions(registry_path=path, allow_level="hygiene")
    before = preflight("toy-new", options=options)
    assert before.can_proceed, before.errors
    assert before.resolved is not None
    assert before.resolved.environment.state == "to_fetch"
    (made,) = ensure("toy-new", options=options).models
    after = preflight("toy-new", options=options)
    assert after.resolved is not None
    assert (after.resolved.environment.state, after.resolved.environment.digest) == ("ready", made.environment)
    published.write_text(text.replace("4.0", "5.0"))
    (again,) = ensure("toy-new", options=options).models
    assert (again.environment, again.reused) == (made.environment, True), "what came first holds"


def weights(folder: Path, *names: str) -> Path:
    """Write a safetensors file of empty tensors."""
    entries = {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in names}
    header = json.dumps(entries).encode()
    path = folder / "weights.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.mark.usefixtures("toy_runtimes")
def test_weights_of_another_variant_are_refused_unbuilt(tmp_path: Path) -> None:
    text = BROUGHT.format(package=".gain", factor="3.0")
    put_in(text)
    path = brought_registry(tmp_path, {"toy-other": text})
    document = json.loads(path.read_text("utf-8"))
    file = weights(tmp_path, "stock.weight")
    blob = blob_path(find_home(), hashlib.sha256(file.read_bytes()).hexdigest())
    blob.parent.mkdir(parents=True, exist_ok=True)
    file.rename(blob)
    primary = {"kind": "checkpoint", "filename": "weights.safetensors", "sha256": blob.name}
    document["models"][0]["artifacts"]["primary"] = primary
    path.write_text(json.dumps(document))
    options = PlanOptions(registry_path=path, allow_level="hygiene")
    engines = {folder.name for folder in (find_home().root / "engines").glob("*")}
    with pytest.raises(BlockedError, match="without any variant; the registry says brought") as caught:
        ensure("toy-other", options=options)
    assert [reason.code for reason in caught.value.reasons] == ["variant_mismatch"]
    assert {folder.name for folder in (find_home().root / "engines").glob("*")} == engines
    resolved = preflight("toy-other", options=options).resolved
    assert resolved is not None
    assert resolved.environment.state == "to_build"


@pytest.mark.usefixtures("toy_runtimes")
def test_an_engine_may_be_an_archive_that_is_fetched(
    toy_runtimes: Path, toy_registry: Path, song: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "toy-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(tmp_path / "engine" / "src", "toy-1.0/src")
    recipe = toy_runtimes / "toy" / "runtime.toml"
    text = recipe.read_text("utf-8")
    table = text[text.index("[engine]") : text.index("package_dir")]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    other = f'[engine]\narchive = "file://{archive}"\nsha256 = "{digest}"\nroot = "toy-1.0"\n'
    recipe.write_text(text.replace(table, other))
    options = PlanOptions(registry_path=toy_registry, allow_level="hygiene")
    record = separate("toy-half", song, tmp_path / "out", options=options)
    assert record.exit_code == 0, record.tracks[0].error
    archive.unlink()
    again = separate("toy-stock", song, tmp_path / "out", options=replace(options, offline=True))
    assert again.exit_code == 0, "the archive is kept by its hash"
    recipe.write_text(recipe.read_text("utf-8").replace(f"file://{archive}", "https://localhost:9/toy-1.0.tar.gz"))
    assert preflight("toy-half", options=replace(options, offline=True)).can_proceed, "the engine is made already"


@pytest.mark.usefixtures("toy_runtimes")
def test_an_archive_that_is_not_the_pinned_one_is_refused(
    toy_runtimes: Path, toy_registry: Path, song: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "toy.tar.gz"
    archive.write_bytes(b"something else")
    recipe = toy_runtimes / "toy" / "runtime.toml"
    text = recipe.read_text("utf-8")
    table = text[text.index("[engine]") : text.index("package_dir")]
    recipe.write_text(text.replace(table, f'[engine]\narchive = "file://{archive}"\nsha256 = "{"0" * 64}"\n'))
    options = PlanOptions(registry_path=toy_registry, allow_level="hygiene")
    with pytest.raises(MismatchError, match=r"toy\.tar\.gz"):
        separate("toy-stock", song, tmp_path / "out", options=options)
    offline = text.replace(table, f'[engine]\narchive = "https://localhost:9/t.tar"\nsha256 = "{"1" * 64}"\n')
    recipe.write_text(offline)
    report = preflight("toy-stock", options=replace(options, offline=True))
    assert "engine_file_missing" in {error.code for error in report.errors}
