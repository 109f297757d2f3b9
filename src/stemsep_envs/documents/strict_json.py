"""JSON, read strictly.

What JSON parsers allow but no document of ours may hold is refused before any model sees it: repeated keys (the last
would win, silently), numbers that are not finite or absurdly long, halves of characters, bottomless nesting.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from stemsep_envs.documents.problems import Location, dotted_path, shown, worded
from stemsep_envs.errors import InvalidDocumentError, Problem

MAX_DEPTH = 100
"""Deeper nesting than this is refused; it is well under what the parsers' and serialisers' own recursion can take."""

MAX_DIGITS = 20
"""Whole numbers with more digits than this, which no 64-bit integer has, are refused."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
"""Where text may hold half a character: as an escape (which may also be one of a sound pair) or bare."""


def load_json(data: bytes | str, *, origin: str, max_values: int | None = None) -> Any:
    """Read JSON: UTF-8 (a byte-order mark may lead), no repeated keys, finite numbers, whole characters, bounded depth.

    The time it takes grows with the length of the text and no faster, whatever the text.

    Args:
        data: The text, UTF-8 when bytes.
        origin: What to call the document in messages, usually its path.
        max_values: The most values, of all objects and lists together, that a document of untrusted origin may hold.

    Raises:
        InvalidDocumentError: With the line and column of a syntax error, or the path of every value that is refused.
    """
    hooks = _Hooks()
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data.removeprefix("\ufeff")
        value = json.loads(
            text,
            object_pairs_hook=hooks.pairs,
            parse_float=hooks.number,
            parse_int=hooks.whole,
            parse_constant=hooks.constant,
        )
    except UnicodeDecodeError as error:
        _refuse(origin, f"not UTF-8 text (byte {error.start} cannot be decoded)")
    except json.JSONDecodeError as error:
        _refuse(origin, f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})")
    except RecursionError:
        _refuse(origin, "nested too deeply")
    _check_shape(value, origin, max_values)
    if hooks.refused or _SURROGATE.search(text):
        refused = list(_refused_in(value, ()))
        if refused:
            raise InvalidDocumentError(origin, worded(refused, lambda item: Problem(dotted_path(item[0]), item[1])))
    return value


@dataclass(frozen=True)
class _Refused:
    """Stands in a parsed value for a number that is refused, so that its path can be told."""

    words: str


class _RepeatingObject(dict[str, Any]):
    """A JSON object in which keys occurred more than once."""

    repeated: tuple[str, ...] = ()


class _Hooks:
    """What the JSON parser calls; ``refused`` says that the value must be searched for what stands in it."""

    def __init__(self) -> None:
        self.refused = False

    def pairs(self, items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) == len(items):
            return result
        self.refused = True
        marked = _RepeatingObject(result)
        counts = Counter(key for key, _ in items)
        marked.repeated = tuple(key for key, count in counts.items() if count > 1)
        return marked

    def number(self, text: str) -> float | _Refused:
        number = float(text)
        return number if math.isfinite(number) else self.constant(text)

    def whole(self, text: str) -> int | _Refused:
        digits = len(text) - text.startswith("-")
        if digits <= MAX_DIGITS:
            return int(text)
        self.refused = True
        return _Refused(f"a whole number of {digits} digits is more than a document may hold")

    def constant(self, text: str) -> _Refused:
        self.refused = True
        return _Refused(f"{text[:40]} is not a finite number")


def _refuse(origin: str, words: str) -> NoReturn:
    raise InvalidDocumentError(origin, (Problem("", words),)) from None


def _check_shape(value: object, origin: str, max_values: int | None) -> None:
    """Refuse what nests too deeply or holds too much; goes level by level, so that depth costs no stack."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict | list):
                count += len(item)
                children = item.values() if isinstance(item, dict) else item
                below.extend(child for child in children if isinstance(child, dict | list))
        if max_values is not None and count > max_values:
            _refuse(origin, f"more than {max_values} values")
        if not below:
            return
        level = below
    _refuse(origin, f"nested too deeply (more than {MAX_DEPTH} levels)")


def _refused_in(value: object, location: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, _Refused):
        yield location, value.words
    elif isinstance(value, str):
        yield from _broken_text(value, location)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _refused_in(item, (*location, index))
    elif isinstance(value, dict):
        for key in value.repeated if isinstance(value, _RepeatingObject) else ():
            yield (*location, key), "appears more than once in its object"
        for key, item in value.items():
            yield from _broken_text(key, location)
            yield from _refused_in(item, (*location, key))


def _broken_text(text: str, location: Location) -> Iterator[tuple[Location, str]]:
    try:
        text.encode()
    except UnicodeEncodeError:
        yield location, f"{shown(text)} holds half of a character (a lone surrogate)"
