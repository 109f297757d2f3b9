"""Which verbs there are, read from files."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from stemsep_envs.cli import verb_table, verbs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(verbs, "__path__", [str(tmp_path)])
    return tmp_path


def test_names_are_those_of_the_files(folder: Path) -> None:
    for name in ("zebra", "run", "env", "apple", "env_show", "env_list", "env_copy_from", "__init__", "_private"):
        (folder / f"{name}.py").touch()
    (folder / "notes.txt").touch()
    assert list(verb_table.verb_modules()) == ["run", "env", "apple", "zebra"]
    assert verb_table.verb_modules("env") == {"copy-from": "env_copy_from", "list": "env_list", "show": "env_show"}
    assert [name for name in ("run", "env", "en", "nobody") if verb_table.is_group(name)] == ["env"]


def test_a_line_of_help_is_the_first_of_the_docstring(folder: Path) -> None:
    (folder / "short.py").write_text('"""Do it."""\nimport nothing_there\n')
    (folder / "long.py").write_text('"""Do it at length.\n\nMore.\n"""\n')
    assert verb_table.help_line("short") == "Do it."
    assert verb_table.help_line("long") == "Do it at length."


def test_a_verb_without_a_line_of_help_is_a_defect(folder: Path) -> None:
    (folder / "silent.py").write_text("import os\n")
    for name in ("silent", "missing"):
        with pytest.raises(ValueError, match=name):
            verb_table.help_line(name)


def test_the_line_read_is_the_one_that_python_reads() -> None:
    for group in (None, "env", "artifacts", "registry"):
        for module in verb_table.verb_modules(group).values():
            documented = importlib.import_module(f"stemsep_envs.cli.verbs.{module}").__doc__ or ""
            assert verb_table.help_line(module) == documented.splitlines()[0]
