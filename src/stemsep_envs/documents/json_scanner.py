"""A JSON scanner: where values stand in a text, one object or array at a time.

What is not looked into is skipped at the speed of Python's own parser. Pure: text in, places out. It takes the texts
that `json.loads` takes and refuses the others; what a document of ours may hold is for `strict_json` to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

read_value: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
"""Parses the value that begins at a place; gives it and the place behind it. Raises ValueError or RecursionError."""

_SPACE = re.compile(r"[ \t\r\n]*")


def scan_document(text: str, scan: Callable[[int], int]) -> None:
    """Have the one value of a document scanned.

    Args:
        text: The document, without a byte-order mark.
        scan: Takes the place where the value begins, returns the place behind it.

    Raises:
        ValueError: Something follows the value; and what ``scan`` raises.
    """
    end = _skip_space(text, scan(_skip_space(text, 0)))
    if end != len(text):
        raise ValueError(f"something follows the document at {end}")


def scan_object(text: str, at: int, scan_member: Callable[[str, int], int]) -> int:
    """Have each member of an object scanned; return the place behind the object.

    Args:
        text: A JSON document.
        at: Where the object begins.
        scan_member: Takes a member's name and the place where its value begins, returns the place behind the value.

    Raises:
        ValueError: There is no object; and what ``scan_member`` raises.
    """
    at = _step_over(text, at, "{")
    if text.startswith("}", at):
        return at + 1
    while True:
        if not text.startswith('"', at):
            raise ValueError(f"no member at {at}")
        name, at = read_value(text, at)
        at = _step_over(text, _skip_space(text, at), ":")
        at = _skip_space(text, scan_member(name, at))
        if text.startswith("}", at):
            return at + 1
        at = _step_over(text, at, ",")


def scan_array(text: str, at: int, scan_item: Callable[[int, int], int]) -> int:
    """Have each item of an array scanned; return the place behind the array.

    Args:
        text: A JSON document.
        at: Where the array begins.
        scan_item: Takes an item's index and the place where it begins, returns the place behind it.

    Raises:
        ValueError: There is no array; and what ``scan_item`` raises.
    """
    at = _step_over(text, at, "[")
    if text.startswith("]", at):
        return at + 1
    index = 0
    while True:
        at = _skip_space(text, scan_item(index, at))
        if text.startswith("]", at):
            return at + 1
        at = _step_over(text, at, ",")
        index += 1


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _step_over(text: str, at: int, mark: str) -> int:
    """Step over ``mark``, which must come next, and the space behind it."""
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark} at {at}")
    return _skip_space(text, at + 1)
