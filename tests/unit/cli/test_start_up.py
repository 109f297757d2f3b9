"""What a command loads before it answers: modules are counted, since time is not the same twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stemsep_envs
from stemsep_envs.cli.verb_table import is_group, verb_modules

SOURCE = Path(stemsep_envs.__file__).parents[1]
PROGRAM = """
import atexit, sys
began = set(sys.modules)
sys.path[:0] = {path!r}
sys.argv[1:] = {arguments!r}
atexit.register(lambda: open({listing!r}, "w").write(" ".join(set(sys.modules) - began)))
from stemsep_envs.cli.entry import main
main()
"""


def loaded_by(arguments: list[str], tmp_path: Path, *, code: int = 0, home: Path | None = None) -> set[str]:
    """Run a command line in a new process; return the modules that it loaded."""
    listing = tmp_path / "modules"
    path = [str(SOURCE), *(entry for entry in sys.path if entry.endswith("-packages"))]
    program = PROGRAM.format(path=path, arguments=arguments, listing=str(listing))
    env = {**os.environ, "STEMSEP_ENV_HOME": str(home or tmp_path / "home")}
    argv = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(argv, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return set(listing.read_text().split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_version_and_help_load_next_to_nothing(arguments: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(arguments, tmp_path)
    assert {name for name in loaded if name.startswith("stemsep_envs.")} == {
        "stemsep_envs._version",
        "stemsep_envs.cli",
        "stemsep_envs.cli.entry",
        "stemsep_envs.cli.overview",
        "stemsep_envs.cli.verb_table",
        "stemsep_envs.cli.verbs",
    }
    assert not loaded & {"click", "pydantic", "re", "json", "typing", "pathlib", "dataclasses", "shutil"}


def all_verbs() -> dict[str, list[str]]:
    """Return the words that call each verb, by the name of its module."""
    top = {module: [name] for name, module in verb_modules().items() if not is_group(module)}
    groups = [group for group in verb_modules() if is_group(group)]
    return top | {module: [group, name] for group in groups for name, module in verb_modules(group).items()}


@pytest.mark.parametrize("module", all_verbs())
def test_help_of_a_verb_loads_no_documents(module: str, tmp_path: Path) -> None:
    loaded = loaded_by([*all_verbs()[module], "--help"], tmp_path)
    assert {name for name in loaded if name.startswith("stemsep_envs.cli.verbs.")} == {
        f"stemsep_envs.cli.verbs.{module}"
    }
    assert not loaded & {"pydantic", "rich", "stemsep_envs.documents.base", "stemsep_envs.planning.plan"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["registry", "list"],
        ["registry", "list", "--json"],
        ["registry", "show", "dsp-hpss"],
        ["env", "list"],
        ["artifacts", "list", "--json"],
        ["preflight", "dsp-hpss", "--json", "--offline"],
    ],
    ids=" ".join,
)
def test_documents_without_fault_load_no_pydantic(arguments: list[str], tmp_path: Path) -> None:
    assert not loaded_by(arguments, tmp_path) & {"pydantic", "pydantic_core", "rich", "urllib3"}


def test_preflight_loads_nothing_that_builds(tmp_path: Path) -> None:
    loaded = loaded_by(["preflight", "dsp-hpss", "--offline"], tmp_path)
    ours = {name.removeprefix("stemsep_envs.") for name in loaded if name.startswith("stemsep_envs.")}
    assert not {name for name in ours if name.startswith(("provisioning", "separation", "worker"))}
    assert not ours & {"environments.building", "environments.resolving", "environments.sealing", "host.downloads"}


def test_run_loads_nothing_that_builds_or_fetches(tmp_path: Path) -> None:
    loaded = loaded_by(["run", "no-such-model", "song.wav", "-o", str(tmp_path / "out")], tmp_path, code=2)
    assert "stemsep_envs.separation.run" in loaded
    assert not loaded & {"pydantic", "pydantic_core", "urllib3", "truststore", "rich"}
