"""The modules of the msst adapter that need no torch, imported one by one: their package imports the others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ADAPTER = Path(__file__).resolve().parents[4] / "runtimes" / "msst" / "adapter"
NAME = "msst_adapter_under_test"


def adapter_module(name: str) -> ModuleType:
    if NAME not in sys.modules:
        package = ModuleType(NAME)
        package.__path__ = [str(ADAPTER)]
        sys.modules[NAME] = package
    return importlib.import_module(f"{NAME}.{name}")


@pytest.fixture(scope="session")
def module() -> Callable[[str], ModuleType]:
    return adapter_module
