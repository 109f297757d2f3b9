"""A Python with the CPU build of torch, made once in the checkout and shared by everything that needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stemsep_envs.host.locks import hold

CHECKOUT = Path(__file__).resolve().parents[3]
PYTHON_VERSION = "3.11"
PACKAGES = ("torch==2.13.0+cpu", "numpy>=2", "omegaconf", "ml-collections")
"""The local version is named so that the CUDA build can't be taken for it."""


@pytest.fixture(scope="session")
def torch_python() -> Path:
    """Return an interpreter that has torch, numpy and what checkpoints of separation models are full of."""
    folder = CHECKOUT / ".cache" / "torch-cpu"
    python = folder / "bin" / "python"
    with hold(folder.with_suffix(".lock")):
        if not (folder / "made").exists():
            problem = _make(folder, python)
            if problem:
                (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no environment with torch: {problem}")
            (folder / "made").touch()
    return python


def _make(folder: Path, python: Path) -> str | None:
    uv = Path(sys.executable).with_name("uv")
    environ = {**os.environ, "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(CHECKOUT / ".cache" / "uv"))}
    where = () if "UV_FIND_LINKS" in os.environ else ("--torch-backend", "cpu")
    for command in (
        (uv, "venv", "--quiet", "--clear", "--python", PYTHON_VERSION, folder),
        (uv, "pip", "install", "--quiet", *where, "--python", python, *PACKAGES),
    ):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            return done.stderr.strip()
    return None
