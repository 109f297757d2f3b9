"""A new runtime is a folder below runtimes/ and nothing else: no source, check or schema knows one by name."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.host.paths import data_dir
from stemsep_envs.registry.recipes import known_runtimes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "stemsep_envs"
MADE_UP = "made-up-for-tests"
RUNTIMES = known_runtimes(data_dir("runtimes"))
RECIPE = """
id = "made-up-for-tests"
title = "Waltz"
description = "Made up."
accelerators = ["cpu"]
packages = ["numpy>=1.26,<3"]
decodes = ["wav"]
encodes = ["wav"]
[python]
min = "3.10"
[settings.steps]
type = "int"
default = 3
description = "How many steps a bar has."
[model_types.viennese]
stems = ["vocals", "other"]
[health]
imports = ["numpy"]
"""
MODEL = {
    "id": "blue-danube",
    "name": "Blue Danube",
    "architecture": "DSP",
    "links": {},
    "trust": "reviewed",
    "stems": ["vocals", "other"],
    "runtime": {"allowed": [MADE_UP], "preferred": MADE_UP, "model_type": "viennese"},
    "requirements": {"python": {"min": "3.10"}},
}
SENTENCE = re.compile(r"\s")


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run a command, told a folder of runtimes with a made-up one, and a registry with a model of it."""
    folder = tmp_path_factory.mktemp("data")
    runtimes, registry = folder / "runtimes", folder / "models.json"
    shutil.copytree(data_dir("runtimes"), runtimes, ignore=shutil.ignore_patterns("locks", "__pycache__"))
    (runtimes / MADE_UP).mkdir()
    (runtimes / MADE_UP / "runtime.toml").write_text(RECIPE)
    (runtimes / MADE_UP / "adapter.py").write_text("")
    document = json.loads((data_dir("registry") / "models.v2.source.json").read_bytes())
    registry.write_text(json.dumps({**document, "models": [*document["models"][:2], MODEL]}))

    def run(*arguments: str) -> Any:
        program = (sys.executable, str(ROOT / "tests" / "programs" / "with_runtimes.py"), str(runtimes))
        env = {**os.environ, "STEMSEP_ENV_REGISTRY": str(registry)}
        done = subprocess.run([*program, *arguments, "--json"], env=env, capture_output=True, check=False)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    return run


def test_a_new_runtime_is_listed_and_has_a_target(call: Callable[..., Any]) -> None:
    report = call("doctor")
    assert MADE_UP in report["runtimes"]
    assert MADE_UP in {target["runtime"] for target in report["targets"]}


def test_its_models_are_valid_and_without_defects(call: Callable[..., Any]) -> None:
    assert call("registry", "validate")["warnings"] == []
    findings = call("registry", "lint")["findings"]
    assert [finding for finding in findings if finding["model_id"] == MODEL["id"]] == []


def test_its_models_are_listed(call: Callable[..., Any]) -> None:
    assert [model["id"] for model in call("registry", "list", "--runtime", MADE_UP)["models"]] == [MODEL["id"]]


def test_preflight_knows_its_settings(call: Callable[..., Any]) -> None:
    report = call("preflight", "blue-danube", "--set", "steps=4")
    assert (report["can_proceed"], report["resolved"]["runtime"]) == (True, MADE_UP)
    assert report["resolved"]["settings"] == {"steps": 4}


def constants(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are no prose."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not SENTENCE.search(node.value):
            yield node.lineno, node.value


def test_no_source_knows_a_runtime_by_name() -> None:
    named = [
        (str(module.relative_to(SOURCE)), line, text)
        for module in sorted(SOURCE.rglob("*.py"))
        for line, text in constants(module)
        if text in RUNTIMES
    ]
    assert named == []


def test_no_schema_knows_a_runtime_by_name() -> None:
    texts = {path.name: path.read_text("utf-8") for path in data_dir("schemas").iterdir()}
    assert [(name, runtime) for name, text in texts.items() for runtime in RUNTIMES if f'"{runtime}"' in text] == []


def test_no_check_knows_a_runtime_by_name() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    checks = {
        "pyproject.toml": json.dumps(tables),
        ".ci/run": (ROOT / ".ci" / "run").read_text("utf-8"),
        ".github": "".join(path.read_text("utf-8") for path in (ROOT / ".github").rglob("*.yml")),
        "Makefile": (ROOT / "Makefile").read_text("utf-8"),
    }
    found = [(name, runtime) for name, text in checks.items() for runtime in RUNTIMES if f"runtimes/{runtime}" in text]
    assert found == []
