"""Tests stand where what they test stands: tests/unit/<package>/test_<module>.py for <package>/<module>.py."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MOST_NAME_CHARACTERS = 60
"""A name says condition and result; what needs more is two tests, or belongs into a docstring."""

UNIT = Path(__file__).resolve().parent
ROOT = UNIT.parents[1]
SOURCES = {"benchmarks": ROOT / "benchmarks", "demo": ROOT / "demo", "runtimes": ROOT / "runtimes"}
"""Folders of tests whose code is not in the package."""
EXCEPTIONS = {
    "cli/test_start_up.py": "what whole commands load",
    "inside/test_inputs.py": "a real worker, told to read all kinds of files",
    "inside/test_oldest_python.py": "what every module inside must be to run on the oldest Python",
    "inside/test_outputs.py": "a real worker, told to write all kinds of files",
    "inside/test_protocol.py": "a real worker at the other end of real pipes",
    "inside/checkpoints/test_hostile.py": "attacks on the conversion as a whole",
    "registry/test_shipped.py": "what the registry that ships holds",
    "runtimes/test_context.py": "what adapters say of what they are given",
    "runtimes/test_recipes.py": "what holds for every runtime",
    "runtimes/msst/test_patches.py": "the patches of the runtime's variants",
    "runtimes/separators/test_settings.py": "adapters that share their settings",
}
"""Tests of no single module, each with what it is of. Those directly in tests/unit/ are of the whole tree."""


def unit_tests() -> list[Path]:
    return [test for test in sorted(UNIT.rglob("test_*.py")) if test.parent != UNIT]


def named(test: Path) -> str:
    return test.relative_to(UNIT).as_posix()


def places(test: Path) -> list[Path]:
    """Return where the module that a test is named after may be, without its ending; adapters may be packages."""
    top, *folders = test.parent.relative_to(UNIT).parts
    base = SOURCES.get(top, ROOT / "src" / "stemsep_envs" / top).joinpath(*folders)
    name = test.stem.removeprefix("test_")
    return [base / name, base / "adapter" / name] if top == "runtimes" else [base / name]


@pytest.mark.parametrize("test", [test for test in unit_tests() if named(test) not in EXCEPTIONS], ids=named)
def test_a_test_is_named_after_a_module(test: Path) -> None:
    wanted = [str(place.relative_to(ROOT)) for place in places(test)]
    found = any(place.with_suffix(".py").is_file() or (place / "__init__.py").is_file() for place in places(test))
    assert found, f"{named(test)} is of no module: there is no {' or '.join(wanted)}; move it with what it tests"


def test_exceptions_are_needed() -> None:
    there = {named(test) for test in unit_tests()}
    assert EXCEPTIONS.keys() <= there
    needless = [name for name in EXCEPTIONS if any(place.with_suffix(".py").is_file() for place in places(UNIT / name))]
    assert needless == []


def test_names_of_tests_are_short() -> None:
    names = [
        node.name
        for path in UNIT.parent.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 1500
    assert [name for name in names if len(name) >= MOST_NAME_CHARACTERS] == []
