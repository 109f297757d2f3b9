"""The version and the help as a whole, which are answered before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from stemsep_envs._version import __version__
from stemsep_envs.cli import overview
from stemsep_envs.cli.app import app


@pytest.mark.parametrize("columns", [50, 80, 100, 200])
def test_help_is_laid_out_as_click_does_it(columns: int) -> None:
    formatter = click.HelpFormatter(width=max(min(columns, overview.MOST_COLUMNS) - 2, 50))
    context = click.Context(app, info_name=overview.PROGRAM, help_option_names=["-h", "--help"])
    app.format_usage(context, formatter)
    click.Command.format_help_text(app, context, formatter)
    click.Command.format_options(app, context, formatter)
    with formatter.section("Commands"):
        formatter.write_dl(list(overview.verbs().items()))
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(overview.EPILOG)
    assert overview.help_text(columns) == formatter.getvalue().rstrip("\n")


def test_verbs_are_the_commands_that_can_be_called() -> None:
    context = click.Context(app)
    names = list(overview.verbs())
    assert names == app.list_commands(context)
    assert names[0] == "run"
    for name in names:
        command = app.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert app.get_command(context, "console") is None


def test_new_module_with_its_own_name_is_a_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "overview.py").write_text('"""What is offered."""\n')
    (tmp_path / "zest.py").write_text('"""``zest``: add zest."""\n')
    (tmp_path / "run_more.py").write_text('"""``run more``: not a verb of its own."""\n')
    (tmp_path / "run.py").write_text('"""``run``: separate.\n\nMore.\n"""\n')
    monkeypatch.setattr(overview, "__file__", str(tmp_path / "overview.py"))
    assert overview.verbs() == {"run": "Separate.", "zest": "Add zest."}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["-h"]])
def test_answers(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert overview.answer(arguments) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Usage: stemsep-env" if arguments != ["--version"] else f"stemsep-env {__version__}\n")
    assert said.err == ""


@pytest.mark.parametrize("arguments", [[], ["run"], ["--help", "run"], ["run", "--help"]])
def test_other_questions_are_left_to_the_commands(arguments: list[str]) -> None:
    assert overview.answer(arguments) is None


@pytest.mark.parametrize(("variable", "columns"), [("72", 72), ("0", 80), ("wide", 80), ("-3", 80)])
def test_columns_are_those_of_the_variable(variable: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", variable)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((0, 0)))
    assert overview.terminal_columns() == columns
