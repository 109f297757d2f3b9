"""Asking before something is lost, where there is someone to ask."""

from __future__ import annotations

import sys

import click

from stemsep_envs.cli.console import Console


def can_ask(console: Console, *, yes: bool) -> bool:
    """Say whether somebody is there who has not agreed yet."""
    return not yes and not console.json and sys.stdin.isatty()


def confirm(question: str, console: Console, *, yes: bool) -> None:
    """Ask before something is lost, where there is someone to ask."""
    if can_ask(console, yes=yes):
        click.confirm(question, abort=True, err=True)
