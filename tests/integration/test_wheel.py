"""A wheel installed in an empty environment elsewhere behaves as the checkout does."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from uv import find_uv_bin

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", str(out), str(CHECKOUT)]
    subprocess.run(command, check=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(venv)], check=True, timeout=120)
    python = venv / "bin" / "python"
    install = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(python), str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    return venv / "bin" / "stemsep-env"


def test_it_carries_the_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for data in ("registry/models.v2.source.json", "runtimes/dsp/runtime.toml", "runtimes/dsp/adapter.py"):
        assert f"stemsep_envs/_data/{data}" in names
    assert any(name.startswith("stemsep_envs/_data/schemas/") for name in names)
    assert any(name.startswith("stemsep_envs/_data/runtimes/dsp/locks/") for name in names)
    assert "stemsep_envs/py.typed" in names
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in names)


def test_it_separates_without_the_checkout(
    installed: Path, song: Path, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    elsewhere = {**environ, "HOME": str(tmp_path / "home"), "STEMSEP_ENV_HOME": str(tmp_path / "stemsep")}
    (tmp_path / "home").mkdir()
    run = [str(installed), "run", "dsp-hpss", str(song), "-o", "out", "--json"]
    done = subprocess.run(run, cwd=tmp_path, env=elsewhere, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    for made in record["tracks"][0]["outputs"]:
        assert (tmp_path / "out" / made["path"]).is_file()
    assert str(CHECKOUT) not in done.stdout
