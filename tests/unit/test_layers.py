"""DESIGN section 3: imports point downward only, and the parts do not know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "stemsep_envs"

PARTS = {"registry", "environments", "artifacts", "store", "sandbox", "worker"}
LAYERS = {"cli": 5, "commands": 4, **dict.fromkeys(PARTS, 3), "host": 2, "documents": 1, "errors": 0, "_version": 0}
TOP = {"__init__", "__main__"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def layer_of(module: Path) -> str:
    relative = module.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def imported(module: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write the whole name"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def inside_environment(module: Path) -> bool:
    relative = module.relative_to(SOURCE).as_posix()
    return relative == "worker/entry.py" or relative.startswith("worker/inside/")


@pytest.mark.parametrize("module", [m for m in modules() if not inside_environment(m)], ids=lambda m: str(m.name))
def test_imports_point_downward(module: Path) -> None:
    own = layer_of(module)
    for line, name in imported(module):
        parts = name.split(".")
        if parts[0] != "stemsep_envs" or own in TOP:
            continue
        other = parts[1]
        assert other in LAYERS, f"{module}:{line} imports {name}, which is in no layer"
        if other == own:
            continue
        assert LAYERS[other] < LAYERS[own], f"{module}:{line}: {own} must not import {name}"


def test_every_package_has_a_layer() -> None:
    assert {layer_of(module) for module in modules()} - TOP == set(LAYERS) & {layer_of(m) for m in modules()}


def test_what_runs_inside_an_environment_knows_nothing_of_the_package() -> None:
    adapters = sorted((SOURCE.parents[1] / "runtimes").glob("*/**/*.py"))
    assert adapters
    for module in [m for m in modules() if inside_environment(m)] + adapters:
        for line, name in imported_anyhow(module):
            assert not name.startswith("stemsep_envs"), f"{module}:{line} imports {name}"


def imported_anyhow(module: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def test_the_package_never_imports_an_adapter() -> None:
    for module in modules():
        text = module.read_text("utf-8")
        assert "import adapter" not in text, module
