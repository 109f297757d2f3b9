"""The code inside environments is Python 3.8 and uses no newer standard library: the oldest that a runtime allows."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemsep_envs.host.paths import INSIDE_DIR, data_dir

OLDEST = (3, 8)
ADAPTERS = sorted(path for path in data_dir("runtimes").rglob("*.py") if "patches" not in path.parts)
SOURCES = sorted(INSIDE_DIR.rglob("*.py"))
ENGINE_MODULES = {"av", "numpy", "soundfile", "soxr", "torch"}
"""What the worker's half takes from the environment; `torch` where a checkpoint is read that needs it."""


@pytest.mark.parametrize("path", SOURCES + ADAPTERS, ids=lambda path: "/".join(path.parts[-3:]))
def test_syntax_is_of_the_oldest_python(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), str(path), feature_version=OLDEST)


def imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-3:]))
def test_only_the_standard_library_and_the_engine_are_imported(path: Path) -> None:
    names = set(imported_modules(ast.parse(path.read_text("utf-8"))))
    assert names - ENGINE_MODULES <= sys.stdlib_module_names


def oldest_python() -> str:
    """Return a Python of the oldest version on this machine; a test that needs it is skipped where there is none."""
    name = "python{}.{}".format(*OLDEST)
    beside = sorted(Path(sys.base_prefix).parent.glob(f"*/bin/{name}"))  # as pyenv and uv keep them
    found = str(beside[-1]) if beside else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


IMPORTS_ALL = """
import importlib, importlib.util, pathlib, sys
folder = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("entry", str(folder / "entry.py"))
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
entry.load_inside()
done = []
for path in sorted(folder.rglob("*.py")):
    name = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
    else:
        done.append(name)
print("\\n".join(done))
"""


def test_the_oldest_python_imports_it() -> None:
    command = [oldest_python(), "-I", "-S", "-B", "-c", IMPORTS_ALL, str(INSIDE_DIR)]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {"inside.messages", "inside.inbox", "inside.checkpoints.converting", "inside.probe"} <= set(names)


def test_the_oldest_python_converts_a_checkpoint(tmp_path: Path) -> None:
    checkpoint, output = tmp_path / "weights.pkl", tmp_path / "weights.safetensors"
    checkpoint.write_bytes(pickle.dumps({"stems": ["vocals", "other"], "rate": 44_100}, protocol=2))
    subprocess.run(
        [oldest_python(), "-I", "-S", str(INSIDE_DIR / "convert.py"), str(checkpoint), str(output)], check=True
    )
    header_bytes = int.from_bytes(output.read_bytes()[:8], "little")
    metadata = json.loads(output.read_bytes()[8 : 8 + header_bytes])["__metadata__"]
    assert "vocals" in metadata["stemsep.tree"]
