"""How a problem in a document is worded: where it is, and what stands there, in a form that is safe to print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from stemsep_envs.errors import Problem

MAX_PROBLEMS = 1000
"""More than this many problems are counted, not listed."""

Location = tuple[str | int, ...]
ItemT = TypeVar("ItemT")

_PLAIN_KEY = re.compile(r"[\w-]{1,100}", re.ASCII)
_SHOWN_CHARACTERS = 60


def dotted_path(location: Location, root: str = "") -> str:
    """Write a location below ``root`` as ``models[3].runtime.allowed[0]``.

    A key that would blur the notation, or is too long for it, is quoted and cut: ``settings["a.b"]``.
    """
    path = root
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        elif part != "[key]":  # pydantic's word for "the key itself is wrong"; the part before it is that key
            path += f"[{shown(part)}]"
    return path


def bounded(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return at most `MAX_PROBLEMS` problems, and one more that says how many were left out."""
    return worded(problems, lambda problem: problem)


def worded(items: Sequence[ItemT], problem: Callable[[ItemT], Problem]) -> tuple[Problem, ...]:
    """Return the problems that the first `MAX_PROBLEMS` items make, and one more that says how many were left out."""
    listed = tuple(map(problem, items[:MAX_PROBLEMS]))
    left_out = len(items) - len(listed)
    return (*listed, Problem("", f"and {left_out} more")) if left_out else listed


def shown(value: object) -> str:
    """Quote a value for a message: bounded, and printable whatever it holds."""
    if isinstance(value, str):
        value = value[:_SHOWN_CHARACTERS]  # quoted, it is longer than that; the rest of a megabyte is not
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return text.encode(errors="backslashreplace").decode()
