"""What the dependency check of uv means where distributions were left out on purpose."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stemsep_envs.environments import health
from stemsep_envs.environments.health import only_missing

FOUND = """Checked 57 packages in 0.90ms
Found 1 incompatibility
The package `onnx2torch-py313` requires `torchvision>=0.9.0`, but it's not installed
"""


def test_a_distribution_that_was_left_out_may_be_missing() -> None:
    assert only_missing(FOUND, ("torchvision",))
    assert not only_missing(FOUND, ())
    assert not only_missing(FOUND, ("torchaudio",))


@pytest.mark.parametrize(
    "more",
    [
        "The package `a` requires `b>=2`, but it's not installed",
        "The package `a` requires `torchvision>=2`, but `1` is installed",
        "error: Broken virtual environment",
    ],
)
def test_nothing_else_may_be_wrong(more: str) -> None:
    assert not only_missing(f"{FOUND}{more}\n", ("torchvision",))
    assert not only_missing(more, ("torchvision",))
    assert not only_missing("", ("torchvision",))


def test_only_bytecode_of_the_environment_is_put_beside(tmp_path: Path) -> None:
    root, beside = tmp_path / "environment", tmp_path / "beside"
    root.mkdir()
    (root / "loaded_early.py").write_text("")
    (root / "engine.py").write_text("import wave\n")
    prelude = f"import sys; sys.path.insert(0, {str(root)!r}); sys.dont_write_bytecode = True; import loaded_early\n"
    program = f"{prelude}sys.dont_write_bytecode = False\n{health._BYTECODE_BESIDE}{health._IMPORTS}"
    command = [sys.executable, "-I", "-c", program, str(root), str(beside), "engine"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert list(json.loads(done.stdout)["imports"]) == ["engine"]
    compiled = {path.name.partition(".")[0] for path in beside.rglob("*.pyc")}
    assert compiled == {"engine", "loaded_early"}  # and not wave
    assert not list(root.rglob("*.pyc"))
