"""Finding interpreters: real ones, links to them, wrappers, broken ones."""

from __future__ import annotations

import json
import os
import stat
import sys
import venv
from pathlib import Path

import pytest
from tests.unprivileged import unprivileged

from stemsep_envs.host.interpreters import Interpreter, described, find_interpreters, folders_to_search
from stemsep_envs.host.paths import Home

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links and scripts")

REAL = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


def find(home: Home, *folders: Path) -> tuple[Interpreter, ...]:
    """Look in these folders, with an empty user's home."""
    user = home.root / "user"
    user.mkdir(parents=True, exist_ok=True)
    environ = {"PATH": os.pathsep.join(map(str, folders)), "HOME": str(user)}
    return find_interpreters(home, environ=environ)


def script(path: Path, text: str) -> Path:
    """Write an executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_interpreter_that_runs_this_is_found_and_described(home: Home) -> None:
    (own,) = [found for found in find(home) if found.path == REAL]
    assert own.version == ".".join(map(str, sys.version_info[:3]))
    assert own.minor == ".".join(map(str, sys.version_info[:2]))
    assert own.implementation == sys.implementation.name
    assert str(own.base_prefix) == sys.base_prefix
    assert own.size_bytes == REAL.stat().st_size
    json.dumps(described([own]))


def test_links_and_virtual_environments_stand_for_their_base(home: Home, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "python3").symlink_to(REAL)
    venv.create(tmp_path / "env", symlinks=True)
    venv.create(tmp_path / "copied", symlinks=False)
    found = [item.path for item in find(home, links, tmp_path / "env" / "bin", tmp_path / "copied" / "bin")]
    assert found.count(REAL) == 1
    assert not any(str(path).startswith(str(tmp_path)) for path in found)


def test_wrappers_and_broken_interpreters_are_left_out(home: Home, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    marker = tmp_path / "was-run"
    script(tools / "python3", f"#!/bin/sh\ntouch {marker}\n")
    (tools / "python3.11").write_bytes(b"\x7fELF nonsense")
    (tools / "python3.11").chmod(0o755)
    (tools / "python3.12").symlink_to(tmp_path / "nowhere")
    (tools / "python").mkdir()
    assert all(not str(item.path).startswith(str(tmp_path)) for item in find(home, tools))
    assert not marker.exists()


def test_unreadable_folder_holds_no_interpreter() -> None:
    with unprivileged() as folder:
        (folder / "pyenv" / "versions").mkdir(parents=True)
        (folder / "pyenv" / "versions").chmod(0)
        environ = {"PATH": "", "HOME": str(folder), "PYENV_ROOT": str(folder / "pyenv")}
        searched = list(folders_to_search(Home(folder / "home"), environ))
        (folder / "pyenv").chmod(0)
        assert list(folders_to_search(Home(folder / "home"), environ)) == searched


def test_answers_are_remembered_until_the_file_changes(home: Home) -> None:
    find(home)
    memory = home.cache_dir / "interpreters.json"
    document = json.loads(memory.read_bytes())
    document["interpreters"][str(REAL)]["version"] = "3.98.7"
    memory.write_text(json.dumps(document))
    assert "3.98.7" in {item.version for item in find(home)}
    document["interpreters"][str(REAL)]["mtime_ns"] += 1
    memory.write_text(json.dumps(document))
    assert "3.98.7" not in {item.version for item in find(home)}


@pytest.mark.parametrize("memory", ["", "[]", '{"format": 99}', '{"format": 1, "interpreters": [1]}', "\x00"])
def test_a_damaged_memory_is_forgotten(home: Home, memory: str) -> None:
    home.cache_dir.mkdir(parents=True)
    (home.cache_dir / "interpreters.json").write_text(memory)
    assert REAL in {item.path for item in find(home)}


def test_folders_of_tools_are_searched(home: Home, tmp_path: Path) -> None:
    real = [item for item in find(home) if item.path != REAL]
    if not real:
        pytest.skip("this machine has one interpreter only")
    versions = tmp_path / "pyenv" / "versions" / "3.x" / "bin"
    versions.mkdir(parents=True)
    (versions / "python3").symlink_to(real[0].path)
    environ = {"PATH": "", "HOME": str(home.root), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert real[0].path in {item.path for item in find_interpreters(home, environ=environ)}


def test_the_newest_is_first(home: Home) -> None:
    keys = [item.version_key for item in find(home, Path("/usr/bin"))]
    assert keys == sorted(keys, reverse=True)


def test_nothing_is_started_from_the_folder_that_one_stands_in(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr/bin")  # real interpreters, so that they would be found there
    searched = set(folders_to_search(home, {"PATH": os.pathsep.join(("..", ".", "", "/bin"))}))
    assert Path("/bin") in searched
    assert all(folder.is_absolute() for folder in searched)
