"""Every code that the program can give is documented, and every documented code can be given."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from stemsep_envs.documents.codes import CODES

SOURCE = Path(__file__).resolve().parents[2] / "src" / "stemsep_envs"
DEFINITIONS = SOURCE / "documents" / "codes.py"


def strings_in(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def given_codes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield what is passed as ``code=``, as a Reason's first argument, or set as an error's default."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            places = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if name == "Reason" and node.args:
                places.append(node.args[0])
            for place in places:
                branches = [place.body, place.orelse] if isinstance(place, ast.IfExp) else [place]
                constants = [branch for branch in branches if isinstance(branch, ast.Constant)]
                yield from ((node.lineno, text) for constant in constants for text in strings_in(constant))
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "default_code" for target in node.targets
        ):
            yield from ((node.lineno, text) for text in strings_in(node.value))


def modules() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path != DEFINITIONS]


def test_every_code_that_is_given_is_documented() -> None:
    for module in modules():
        for line, code in given_codes(ast.parse(module.read_text("utf-8"))):
            assert code in CODES, f"{module}:{line} gives {code!r}, which documents/codes.py does not list"


def test_every_documented_code_is_given_somewhere() -> None:
    said = {text for module in modules() for text in strings_in(ast.parse(module.read_text("utf-8")))}
    assert not [code for code in CODES if code not in said]
