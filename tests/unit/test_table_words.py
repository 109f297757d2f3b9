"""Words of the tables stand in the tables: no other module lists accelerators, platforms, levels or formats of its own.

Looked at are texts of the code, and identifiers where a word means nothing else; comments and docstrings may give
examples.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from stemsep_envs.cli import ensure_cache
from stemsep_envs.documents.accelerators import DEVICE_NODES, FAMILIES, FAMILY_NAMES
from stemsep_envs.documents.audio import FORMAT_NAMES
from stemsep_envs.documents.link_modes import LINK_MODE_NAMES
from stemsep_envs.documents.platforms import PLATFORM_NAMES
from stemsep_envs.sandbox.level_table import LEVEL_ORDER

SOURCE = Path(__file__).resolve().parents[2] / "src" / "stemsep_envs"

_VENDORS = ("nvidia", "nvidiactl", "kfd", "gfx")
_NAMES = "|".join(
    [*(name for name in FAMILY_NAMES if name != "cpu"), *(f.pattern for f in FAMILIES if f.number), *_VENDORS]
)

WORDS: Mapping[str, re.Pattern[str]] = {
    "accelerator": re.compile(rf"(?<![a-z])(?:{_NAMES})(?![a-z])|^cpu$", re.IGNORECASE),
    "platform": re.compile("|".join(PLATFORM_NAMES)),
    "level": re.compile(f"^({'|'.join(LEVEL_ORDER)})$"),
    "format": re.compile(f"^({'|'.join(FORMAT_NAMES)})$"),
    "link mode": re.compile(f"^({'|'.join(LINK_MODE_NAMES)})$"),
}

ALLOWED: Mapping[str, Mapping[str, str]] = {
    "accelerator": {
        "documents/accelerators.py": "the table",
        "documents/checkpoint_names.py": "torch's storage classes in pickles",
        "inside/checkpoints/rebuilding.py": "likewise, inside",
        "inside/probe.py": "device nodes to try, inside: held equal below",
        "cli/ensure_cache.py": "may not load the table: held equal below",
        "sandbox/hygiene.py": "processor time, a resource limit",
        "sandbox/launcher_command.py": "likewise",
        "sandbox/launcher/resource_limits.py": "likewise",
    },
    "platform": {
        "documents/platforms.py": "the table",
        "documents/accelerators.py": "where a family exists",
    },
    "level": {
        "sandbox/level_table.py": "the table",
        "sandbox/container.py": "its own name, and the system calls that it refuses",
        "sandbox/namespaces.py": "likewise",
        "sandbox/landlock.py": "likewise",
        "sandbox/seatbelt.py": "its own name",
        "sandbox/hygiene.py": "its own name",
        "sandbox/launcher/seccomp.py": "names of filters",
        "inside/separation.py": "the container of an audio file",
    },
    "format": {
        "documents/audio.py": "the table",
        "inside/audio_encoding.py": "the table inside: held equal by test_audio",
        "inside/audio_decoding.py": "what is read, not written",
        "inside/audio_reading.py": "likewise",
    },
    "link mode": {
        "documents/link_modes.py": "the table",
        "sandbox/launcher/syscalls.py": "a system call",
        "sandbox/launcher/seccomp.py": "likewise",
    },
}


def texts_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of strings that are no docstrings."""
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def identifiers_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of names of variables, attributes, functions, classes and parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.value.lineno, node.arg


def words_in(kind: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of what holds a word of a table."""
    texts = chain(texts_in(tree), identifiers_in(tree) if kind == "accelerator" else ())
    yield from ((line, text) for line, text in texts if WORDS[kind].search(text))


@cache
def modules() -> Mapping[str, ast.AST]:
    paths = sorted(SOURCE.rglob("*.py"))
    return {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}


@cache
def found(kind: str) -> dict[str, list[str]]:
    """Return the modules that know words of a table, each with the lines."""
    places: dict[str, list[str]] = {}
    for name, tree in modules().items():
        for line, text in words_in(kind, tree):
            places.setdefault(name, []).append(f"{name}:{line}: {text[:60]!r}")
    return places


@pytest.mark.parametrize("kind", WORDS)
def test_only_the_table_knows_its_words(kind: str) -> None:
    places = found(kind)
    unknown = [place for name, lines in places.items() if name not in ALLOWED[kind] for place in lines]
    assert not unknown, f"ask the table instead of naming a {kind}: {unknown}"


@pytest.mark.parametrize("kind", WORDS)
def test_the_allowed_still_need_it(kind: str) -> None:
    assert not ALLOWED[kind].keys() - found(kind).keys()


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("x = 'cu128'", True),
        ("def cuda_build(): pass", True),
        ("f(rocm=1)", True),
        ("x.mps", True),
        ("x = f'{y} has no xpu'", True),
        ("x = 'cpu'", True),
        ("'''cu128 in a docstring'''", False),
        ("x = json.dumps(cpu_count)", False),
    ],
)
def test_the_scan_sees_words(code: str, is_found: bool) -> None:
    assert bool(list(words_in("accelerator", ast.parse(code)))) == is_found


def test_a_remembered_answer_heeds_the_accelerators_variables() -> None:
    variables = {variable for family in FAMILIES for variable in family.variables}
    assert variables <= set(ensure_cache._STEERING_PREFIXES)


def test_the_probe_tries_every_accelerator_s_nodes() -> None:
    texts = [text for _, text in texts_in(modules()["inside/probe.py"])]
    for node in DEVICE_NODES:
        name = node.replace("[0-9]*", "0").replace("*", "128")
        assert any(fnmatch(name, pattern) for pattern in texts if pattern), node
