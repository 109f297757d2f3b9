"""DESIGN section 3: imports point downward only, without a circle, and the parts do not know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "stemsep_envs"

RANKS: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"errors", "_version"},
            {"documents"},
            {"host"},
            {"registry", "environments", "artifacts", "model_store", "images", "sandbox", "worker"},
            {"planning"},
            {"provisioning"},
            {"separation"},
            {"batch", "pipelines"},
            {"commands"},
            {"service"},
            {"cli", "web"},
        ),
    )
)
"""The layers of DESIGN section 3, lowest first. Packages of one rank do not import each other."""

RANK_OF = {package: rank for rank, packages in enumerate(RANKS) for package in packages}
TOP = {"__init__", "__main__"}
APART = "inside"


def modules(source: Path = SOURCE) -> list[Path]:
    return sorted(source.rglob("*.py"))


def host_modules(source: Path = SOURCE) -> list[Path]:
    return [module for module in modules(source) if package_of(module, source) != APART]


def package_of(module: Path, source: Path = SOURCE) -> str:
    return module.relative_to(source).parts[0].removesuffix(".py")


def dotted(module: Path, source: Path = SOURCE) -> str:
    parts = module.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything that a module imports, in functions and for type checking too."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write the whole name"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def import_graph(source: Path = SOURCE) -> Mapping[str, set[str]]:
    """Return which modules of ours each module imports, wherever in it."""
    names = {dotted(module, source): module for module in host_modules(source)}
    graph: dict[str, set[str]] = {}
    for name, module in names.items():
        graph[name] = set()
        for _, target in imported(module):
            if target in names:
                graph[name].add(target)
            elif target.rpartition(".")[0] in names:
                graph[name].add(target.rpartition(".")[0])
    return graph


@pytest.mark.parametrize("module", host_modules(), ids=dotted)
def test_imports_point_downward(module: Path) -> None:
    own = package_of(module)
    for line, name in imported(module):
        parts = name.split(".")
        if parts[0] != "stemsep_envs" or own in TOP:
            continue
        other = parts[1]
        assert other in RANK_OF, f"{module}:{line} imports {name}, which is in no layer"
        if other != own:
            assert RANK_OF[other] < RANK_OF[own], f"{module}:{line}: {own} must not import {name}"


def test_every_package_has_a_layer() -> None:
    assert {package_of(module) for module in modules()} - TOP - {APART} <= RANK_OF.keys()


def test_no_import_circle() -> None:
    try:
        TopologicalSorter(import_graph()).prepare()
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")


def test_no_verb_imports_another() -> None:
    graph = import_graph()
    verbs = {name for name in graph if name.startswith("stemsep_envs.commands.")} - {"stemsep_envs.commands.api"}
    assert verbs
    assert {verb: graph[verb] & verbs for verb in verbs if graph[verb] & verbs} == {}


def test_a_circle_through_a_deferred_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "stemsep_envs"
    package.mkdir()
    (package / "one.py").write_text("from stemsep_envs import two\n")
    (package / "two.py").write_text("def work():\n    from stemsep_envs.one import thing\n")
    with pytest.raises(CycleError):
        TopologicalSorter(import_graph(package)).prepare()


@pytest.mark.parametrize("module", host_modules(), ids=dotted)
def test_host_code_never_imports_inside_code(module: Path) -> None:
    """What runs inside environments is started by its path: on the host it would be code of the other side."""
    names = [name for _, name in imported(module)]
    assert not [name for name in names if f"{name}.".startswith(f"{SOURCE.name}.{APART}.")]


def test_code_inside_environments_imports_nothing_of_ours() -> None:
    adapters = sorted((SOURCE.parents[1] / "runtimes").glob("*/**/*.py"))
    inside = [module for module in modules() if package_of(module) == APART]
    assert adapters
    assert inside
    for module in inside + adapters:
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


WRITERS = {"host/atomic_write.py", "host/downloads.py", "host/links_and_copies.py", "host/tree_removal.py"}
"""Who may open a file for writing or remove one: ruff's banned-api sees functions, but not the methods of a path."""

CHANGING_METHODS = {"write_text", "write_bytes", "unlink", "rmtree"}


def disk_changes(module: Path) -> Iterator[str]:
    """Yield each call of a method that changes a disk, or that opens a file for writing."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            words = [
                word for argument in node.args[:1] for word in ast.walk(argument) if isinstance(word, ast.Constant)
            ]
            opens_to_write = node.func.attr == "open" and any(set("wax+") & set(str(word.value)) for word in words)
            if node.func.attr in CHANGING_METHODS or opens_to_write:
                yield f"{module.name}:{node.lineno} calls {node.func.attr}"


def test_files_are_written_and_removed_in_few_places() -> None:
    for module in host_modules():
        name = module.relative_to(SOURCE).as_posix()
        if name not in WRITERS and not name.startswith("sandbox/launcher/"):
            assert not list(disk_changes(module))


def test_every_writer_still_writes() -> None:
    assert [name for name in sorted(WRITERS) if not list(disk_changes(SOURCE / name))] == []
