"""The options by which uv answers a question for any target from any host, and runs no code of anyone's to do so.

A source distribution may only say what it needs by running its build. uv never runs one here: what such distributions
declare is told to it beforehand (`sources` finds it out, confined), and of what nobody has asked yet it is told that it
needs nothing, until the answer turns out to have it (`resolving`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.platforms import platform_row
from stemsep_envs.host.atomic_write import write_atomic

RESOLVE_ENV = {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # torch's wheels for macOS start there


@dataclass(frozen=True)
class Declared:
    """What a source distribution says that it needs.

    Attributes:
        name: Of the distribution, in normal form.
        version: Its version.
        requires: Requirements (PEP 508), as it words them.
        requires_python: Versions of Python it is for, as a specifier; empty for any.
        extras: Its optional parts.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    extras: tuple[str, ...] = ()


def target_arguments(inputs: LockInputs) -> tuple[str, ...]:
    """Return the options that make uv answer for a target and a Python, whatever is here.

    It is given our own interpreter, or it would look for one through every wrapper on the PATH.
    """
    platform = platform_row(inputs.target.platform)
    return ("--python-platform", platform.uv, "--python-version", inputs.python, "--python", sys.executable)


def wheels_only(inputs: LockInputs) -> tuple[str, ...]:
    """Return the options that forbid source distributions, but for those that a runtime lists by name."""
    allowed = [option for name in inputs.builds for option in ("--no-binary", name)]
    return ("--only-binary", ":all:", *allowed)


def declaring_project(folder: Path, inputs: LockInputs, declared: Iterable[Declared] = ()) -> tuple[str, ...]:
    """Write a project that tells uv what source distributions need; return the options that name it.

    Nothing is written, and no option returned, for a question without any. The call of uv must be told that this is a
    project of ours (`uv.call_uv`).
    """
    if not inputs.builds:
        return ()
    head = ("[project]", 'name = "declared"', 'version = "0"', "[tool.uv]", "[tool.uv.workspace]")
    text = "\n".join([*head, *declaring_lines(inputs.builds, declared)]) + "\n"
    write_atomic(folder / "declared" / "pyproject.toml", text.encode())
    return ("--project", str(folder / "declared"))


def declaring_lines(builds: Sequence[str], declared: Iterable[Declared]) -> Iterator[str]:
    """Yield the lines of ``pyproject.toml`` that say what source distributions need.

    The entry without a version holds for every version that has none of its own.
    """
    for item in (*(Declared(name, "") for name in builds), *declared):
        yield "[[tool.uv.dependency-metadata]]"
        yield f"name = {json.dumps(item.name)}"
        yield from [f"version = {json.dumps(item.version)}"] if item.version else []
        yield f"requires-dist = {json.dumps(item.requires)}"
        yield f"provides-extra = {json.dumps(item.extras)}"
        yield from [f"requires-python = {json.dumps(item.requires_python)}"] if item.requires_python else []
