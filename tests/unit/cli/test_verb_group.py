"""The tree of commands is the files of `cli/verbs`: in the help, in completion, and when one is called."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

import stemsep_envs.commands
from stemsep_envs.cli import app, verb_table, verbs

COMMAND = '''"""Say that there was {what}."""

def {what}_found():
    return "there was {what}"
'''
VERB = '''"""Look for {what}."""

import click

from stemsep_envs.cli.options import verb


@click.command("{name}")
@verb
def command(console):
    """Look for {what}."""
    from stemsep_envs.commands.{module} import {what}_found

    console.line({what}_found())
    return 0
'''


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add ``water`` and ``env gold``: a file in commands/ and one in cli/verbs/ each, and nothing else."""
    for package, template in ((stemsep_envs.commands, COMMAND), (verbs, VERB)):
        folder = tmp_path / package.__name__.rpartition(".")[2]
        folder.mkdir()
        for name, module, what in (("water", "water", "water"), ("gold", "env_gold", "gold")):
            (folder / f"{module}.py").write_text(template.format(name=name, module=module, what=what))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    for name in [name for name in sys.modules if name.endswith((".water", ".env_gold"))]:
        del sys.modules[name]


def completed(*words: str) -> list[str]:
    completion = ShellComplete(app.app, {}, "stemsep-env", "_STEMSEP_ENV_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.usefixtures("made_up")
def test_a_new_verb_takes_two_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run_app(["--help"]) == 0
    assert "  water       Look for water.\n" in capsys.readouterr().out
    assert completed("wa") == ["water"]
    assert app.run_app(["water"]) == 0
    assert capsys.readouterr().out == "there was water\n"


@pytest.mark.usefixtures("made_up")
def test_a_new_verb_of_a_group_takes_two_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run_app(["env", "--help"]) == 0
    assert "  gold    Look for gold.\n" in capsys.readouterr().out
    assert completed("env", "go") == ["gold"]
    assert app.run_app(["env", "gold"]) == 0
    assert capsys.readouterr().out == "there was gold\n"


def test_a_verb_that_does_not_exist_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["nonsense"], ["env", "nonsense"], ["env_list"], ["env-list"]):
        assert app.run_app([*line, "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


@pytest.mark.parametrize("group", [None, "env", "artifacts", "registry"])
def test_every_verb_in_the_help_is_there(group: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    line = [group] if group else []
    assert app.run_app([*line, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    names = list(verb_table.verb_modules(group))
    assert [words[0] for row in listed.splitlines() if (words := row.split()) and words[0] in names] == names
    for name in names:
        assert app.run_app([*line, name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(" ".join(["Usage: stemsep-env", *line, name]))


@pytest.mark.parametrize("group", [None, "env", "artifacts", "registry"])
def test_commands_are_named_as_their_files(group: str | None) -> None:
    tree = app.app.get_command(click.Context(app.app), group) if group else app.app
    assert isinstance(tree, click.Group)
    context = click.Context(tree)
    commands = {name: tree.get_command(context, name) for name in tree.list_commands(context)}
    assert {name: command and command.name for name, command in commands.items()} == {name: name for name in commands}


def test_every_verb_of_the_command_line_is_a_command() -> None:
    shown = {path.stem for path in Path(verbs.__path__[0]).glob("[!_]*.py")} - {"completion"}
    groups = {name for name in shown if verb_table.is_group(name)}
    done = {path.stem for path in Path(stemsep_envs.commands.__path__[0]).glob("[!_]*.py")} - {"api"}
    assert shown - groups == done


def test_verbs_are_loaded_when_they_are_used() -> None:
    code = "import sys; from stemsep_envs.cli.app import run_app; run_app(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "stemsep_envs.cli.verbs" in loaded
    assert not [name for name in loaded if name.startswith(("stemsep_envs.cli.verbs.", "stemsep_envs.commands"))]
    assert not loaded & {"pydantic", "rich"}
