"""`lock` as users call it: what it writes, what it finds stale and why, and what other tools make of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock
from tests.integration.conftest import valid
from tests.integration.package_index import Server, make_wheel, served
from uv import find_uv_bin

from stemsep_envs.cli.app import run_app

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.integration]

RECIPE = """
id = "tiny"
title = "Tiny"
description = "For tests."
accelerators = ["cpu"]
packages = ["beats>=1"]
decodes = ["wav"]
encodes = ["wav"]
[python]
min = "3.11"
max = "3.12"
[health]
imports = ["beats"]
[locks]
targets = ["linux-x86_64-cpu", "macos-arm64-cpu"]
[model_types.plain]
"""

Command = Callable[..., tuple[int, Any]]


def entry(name: str, packages: list[str]) -> dict[str, Any]:
    """Return a registry entry of the runtime."""
    return {
        "id": name,
        "name": name,
        "architecture": "Other",
        "links": {},
        "runtime": {"preferred": "tiny", "allowed": ["tiny"], "model_type": "plain"},
        "requirements": {"pip": {"packages": packages}},
    }


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    index = tmp_path / "index"
    make_wheel(index / "beats", "beats", "1.0", ["tempo"])
    for version in ("1.0", "1.1"):
        make_wheel(index / "tempo", "tempo", version)
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    with served(tmp_path) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/index")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        yield running


@pytest.fixture
def runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's runtimes/ with one runtime, and a registry with two models that need the same."""
    folder = tmp_path / "runtimes"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "runtime.toml").write_text(RECIPE)
    write_registry(tmp_path, [entry("one", []), entry("two", []), entry("three", ["tempo<1.1"])])
    monkeypatch.setenv("STEMSEP_ENV_REGISTRY", str(tmp_path / "registry.json"))
    for module in ("stemsep_envs.commands.lock", "stemsep_envs.planning.lock_requests"):
        monkeypatch.setattr(f"{module}.data_dir", lambda name: tmp_path / name)
    return folder


def write_registry(folder: Path, models: list[dict[str, Any]]) -> None:
    registry = {
        "version": "2.0",
        "generated_at": "2026-01-01T00:00:00Z",
        "source": {"tool": "tests", "repo": "", "commit": "", "notes": ""},
        "guide_revision": "none",
        "models": models,
    }
    (folder / "registry.json").write_text(json.dumps(registry))


@pytest.fixture
def lock(capsys: pytest.CaptureFixture[str]) -> Command:
    """Call `lock --json`; return the exit code and the document."""

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run_app(["lock", *arguments, "--json"])
        document = json.loads(capsys.readouterr().out)
        return code, document if "error" in document else valid(document, "lock")

    return call


def states(document: Any) -> set[str]:
    return {item["state"] for item in document["locks"]}


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "tiny" / "locks").iterdir()}


def test_a_checkout_is_locked_checked_and_stays_as_it_is(server: Server, runtimes: Path, lock: Command) -> None:
    code, document = lock("--all", "--check")
    assert (code, states(document)) == (4, {"stale"})
    assert {item["findings"][0]["code"] for item in document["locks"]} == {"lock_missing"}

    code, document = lock("--all", "--output", str(runtimes))
    assert (code, states(document), len(document["locks"])) == (0, {"written"}, 8)
    shared = [item for item in document["locks"] if item["models"] == ["one", "two"]]
    assert len(shared) == 4  # two targets, two Pythons, whoever asks
    assert {"linux-x86_64-cpu-py311.txt", "macos-arm64-cpu-py312.txt"} < names(runtimes)
    texts = {path: path.read_bytes() for path in (runtimes / "tiny" / "locks").iterdir()}
    assert not any(b"://" in text for text in texts.values())

    asked = len(server.asked)
    code, document = lock("--all", "--output", str(runtimes))
    assert (code, states(document)) == (0, {"current"})
    assert lock("--all", "--check")[0] == 0
    assert len(server.asked) == asked  # neither needs the network
    assert {path: path.read_bytes() for path in texts} == texts

    shutil.rmtree(runtimes / "tiny" / "locks")
    assert lock("--all", "--output", str(runtimes))[0] == 0
    assert {path: path.read_bytes() for path in texts} == texts


def test_what_is_stale_says_why(server: Server, runtimes: Path, tmp_path: Path, lock: Command) -> None:
    assert lock("--all", "--output", str(runtimes))[0] == 0
    recipe = runtimes / "tiny" / "runtime.toml"
    recipe.write_text(RECIPE.replace('"beats>=1"', '"beats>=1", "tempo>=1"'))
    code, document = lock("--all", "--check")
    assert code == 4
    plain = next(item for item in document["locks"] if item["models"] == ["one", "two"])
    assert plain["findings"][0]["code"] == "lock_inputs_changed"
    assert "tempo>=1 is new" in plain["findings"][0]["message"]
    recipe.write_text(RECIPE)

    write_registry(tmp_path, [entry("one", [])])
    code, document = lock("--all", "--check")
    assert code == 4
    assert states(document) == {"current"}
    assert len(document["strangers"]) == 4  # those of the model that is gone

    (changed,) = (runtimes / "tiny" / "locks").glob("linux-x86_64-cpu-py311.txt")
    changed.write_text(changed.read_text().replace("tempo==1.1", "tempo==1.0"))
    code, document = lock("--all", "--check")
    assert code == 4
    assert "lock_mismatch" in {found["code"] for item in document["locks"] for found in item["findings"]}


def test_newer_versions_are_taken_only_when_asked(
    server: Server, runtimes: Path, tmp_path: Path, lock: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock("--all", "--output", str(runtimes))[0] == 0
    make_wheel(tmp_path / "index" / "tempo", "tempo", "1.2")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "later"))
    assert lock("--all", "--check")[0] == 0
    assert states(lock("one", "--output", str(runtimes))[1]) == {"current"}
    code, document = lock("--all", "--check", "--upgrade")
    assert code == 4
    found = {found["code"] for item in document["locks"] for found in item["findings"]}
    assert found == {"lock_outdated"}

    # Another question keeps what it had where that still serves.
    recipe = runtimes / "tiny" / "runtime.toml"
    recipe.write_text(RECIPE.replace('"beats>=1"', '"beats>=1.0", "tempo>=1"'))
    code, document = lock("one", "--output", str(runtimes))
    assert (code, {change["name"] for item in document["locks"] for change in item["changes"]}) == (0, set())

    code, document = lock("one", "--upgrade", "--output", str(runtimes))
    changes = document["locks"][0]["changes"]
    assert changes == [{"name": "tempo", "change": "version", "before": "1.1", "after": "1.2"}]


def test_one_that_fails_does_not_stop_the_others(server: Server, runtimes: Path, tmp_path: Path, lock: Command) -> None:
    write_registry(tmp_path, [entry("one", []), entry("odd", ["tempo>=9"])])
    code, document = lock("--all", "--output", str(runtimes))
    assert code == 5
    assert states(document) == {"written", "failed"}
    failed = next(item for item in document["locks"] if item["state"] == "failed")
    assert failed["findings"][0]["code"] == "unsatisfiable"
    assert "model odd: requirements.pip.packages[0]" in failed["findings"][0]["message"]
    assert "tempo>=9" in failed["output"]


def test_identical_questions_of_many_models_are_resolved_once(
    server: Server, runtimes: Path, tmp_path: Path, lock: Command
) -> None:
    needs: list[list[str]] = [[], ["tempo<1.1"], ["tempo>=1.1"], ["Tempo >= 1.1.0"], ["tempo", "beats"]]
    write_registry(tmp_path, [entry(f"model-{number}", needs[number % len(needs)]) for number in range(120)])
    targets = ["linux-x86_64-cpu", "linux-aarch64-cpu", "macos-arm64-cpu", "windows-x86_64-cpu"]
    options = [option for target in targets for option in ("--target", target)]
    code, document = lock("--all", *options, "--python", "3.11", "--output", str(runtimes))
    assert code == 0
    assert len(document["locks"]) == 4 * len(targets)  # five ways to say it are four questions
    assert sum(len(item["models"]) for item in document["locks"]) == 120 * len(targets)
    assert len(document["written"]) == len(set(document["written"])) == 4 * len(targets)


def test_without_output_the_home_keeps_it(server: Server, runtimes: Path, isolated: Path, lock: Command) -> None:
    code, document = lock("one", "--target", "macos-arm64-cpu", "--python", "3.12")
    assert code == 0
    (answer,) = document["locks"]
    assert Path(answer["path"]).parent == isolated / "locks"
    assert states(lock("one", "--target", "macos-arm64-cpu", "--python", "3.12")[1]) == {"current"}
    for wrong in (["one", "--python", "3.9"], ["one", "--target", "moon-cpu"], ["nobody"], []):
        assert lock(*wrong)[0] == 2
    assert lock("one", "--target", "linux-x86_64-cu128")[0] == 6


def test_pylock_is_valid_and_another_tool_installs_from_it(
    server: Server, runtimes: Path, tmp_path: Path, lock: Command
) -> None:
    target = "linux-x86_64-cpu"
    code, document = lock(
        "three", "--target", target, "--python", "3.11", "--format", "pylock", "--output", str(tmp_path / "out")
    )
    assert code == 0
    path = Path(document["locks"][0]["path"])
    Pylock.from_dict(tomllib.loads(path.read_text())).validate()
    packages = {item["name"]: item for item in tomllib.loads(path.read_text())["packages"]}
    assert {name: item["version"] for name, item in packages.items()} == {"beats": "1.0", "tempo": "1.0"}
    assert all(wheel["hashes"]["sha256"] for item in packages.values() for wheel in item["wheels"])

    # `python -m uv` would take the environment it runs in for the one it is to change.
    python = venv_python(tmp_path / "venv")
    file = path.rename(tmp_path / "pylock.toml")
    done = subprocess.run(
        [find_uv_bin(), "pip", "sync", "-q", "--python", str(python), str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    if sys.version_info[:2] == (3, 11):
        assert done.returncode == 0, done.stderr
        assert list((tmp_path / "venv").glob("lib/*/site-packages/tempo-1.0.dist-info"))
    else:
        assert done.returncode != 0  # it says for which Python it is


def venv_python(folder: Path) -> Path:
    """Make an empty virtual environment; return its interpreter."""
    subprocess.run([find_uv_bin(), "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    return folder / "bin" / "python"
