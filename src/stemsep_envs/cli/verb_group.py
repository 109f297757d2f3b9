"""The tree of commands. Each verb's module is loaded when it is called, so that none pays for another."""

from __future__ import annotations

import importlib
from typing import Any

import click

from stemsep_envs.cli.verb_table import help_line, help_lines, is_group, verb_modules


class VerbGroup(click.Group):
    """A group whose verbs are files, imported when they are used.

    Args:
        verbs_of: The group's name, whose verbs are its; None for the program itself.
    """

    def __init__(self, *args: Any, verbs_of: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs_of = verbs_of

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(verb_modules(self._verbs_of))

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb, or return a group of verbs."""
        module = verb_modules(self._verbs_of).get(cmd_name)
        if module is None:
            return None
        if self._verbs_of is None and is_group(module):
            return VerbGroup(cmd_name, help=help_line(module), verbs_of=module)
        command: click.Command = importlib.import_module(f"stemsep_envs.cli.verbs.{module}").command
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(help_lines(self._verbs_of).items()))
