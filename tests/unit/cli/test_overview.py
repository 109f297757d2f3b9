"""The version and the help as a whole, which are answered before anything is loaded."""

from __future__ import annotations

import os

import click
import pytest

from stemsep_envs._version import __version__
from stemsep_envs.cli import overview
from stemsep_envs.cli.app import app
from stemsep_envs.cli.verb_table import help_lines


@pytest.mark.parametrize("columns", [50, 80, 100, 200])
def test_help_is_laid_out_as_click_does_it(columns: int) -> None:
    formatter = click.HelpFormatter(width=max(min(columns, overview.MOST_COLUMNS) - 2, 50))
    context = click.Context(app, info_name=overview.PROGRAM, help_option_names=["-h", "--help"])
    app.format_usage(context, formatter)
    click.Command.format_help_text(app, context, formatter)
    click.Command.format_options(app, context, formatter)
    with formatter.section("Commands"):
        formatter.write_dl(list(help_lines().items()))
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(overview.EPILOG)
    assert overview.help_text(columns) == formatter.getvalue().rstrip("\n")


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
