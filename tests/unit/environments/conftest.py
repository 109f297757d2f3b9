"""Recipes and interpreters, small and made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.recipes import make_recipe

from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.host.interpreters import Interpreter


@pytest.fixture
def recipe() -> Callable[..., RuntimeRecipe]:
    """Make a recipe with torch and a variant; keyword arguments replace tables."""

    def make(**changes: Any) -> RuntimeRecipe:
        document: dict[str, Any] = {
            "python": {"min": "3.10", "max": "3.13"},
            "accelerators": ["cpu", "cuda", "rocm", "mps"],
            "packages": ["numpy>=1.26"],
            "torch": {"min": "2.3"},
            "source_distributions": {"Torch_Harmonics": "no wheels are published"},
            "model_types": {"plain": {}, "extra": {"packages": ["einops"]}},
            "variants": {
                "fno": {
                    "description": "With Fourier neural operators.",
                    "packages": ["neuraloperator==1.0.2"],
                    "torch": {"min": "2.4", "packages": ["torch", "torchaudio"]},
                }
            },
            "health": {"imports": ["torch"]},
        }
        return make_recipe(**{**document, **changes})

    return make


@pytest.fixture
def interpreter() -> Callable[..., Interpreter]:
    """Make a CPython for Linux; keyword arguments replace attributes."""

    def make(version: str, **changes: Any) -> Interpreter:
        minor = version.rpartition(".")[0].replace(".", "")
        fields: dict[str, Any] = {
            "path": Path(f"/opt/python/{version}/bin/python"),
            "version": version,
            "release_level": "final",
            "implementation": "cpython",
            "soabi": f"cpython-{minor}-x86_64-linux-gnu",
            "platform": "linux-x86_64",
            "bits": 64,
            "free_threaded": False,
            "base_prefix": Path(f"/opt/python/{version}"),
            "size_bytes": 1,
            "mtime_ns": 1,
        }
        return Interpreter(**{**fields, **changes})

    return make
