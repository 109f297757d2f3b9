"""A program of its own: it is started by its path and shares nothing with the worker but the package."""

from __future__ import annotations

import ast

from stemsep_envs.host.paths import INSIDE_DIR


def loads_inside(name: str) -> str:
    """Return what a program does to import its folder as a package, without the words about it."""
    tree = ast.parse((INSIDE_DIR / name).read_text("utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and "load_inside" in node.name)
    return ast.unparse(ast.Module(function.body[1:], []))


def test_it_loads_the_package_as_the_worker_does() -> None:
    assert loads_inside("convert.py") == loads_inside("entry.py")
