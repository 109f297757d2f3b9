"""Changing values in JSON text without touching the rest of it: order, indents, escapes and line ends stay as they are.

A registry is edited by hand and reviewed as a diff, so that a tool which changes three values must change three lines.
Pure: text in, text out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Location: TypeAlias = tuple[str | int, ...]

_decode = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True)
class Edit:
    """Put ``value`` at ``location``. What is there is replaced; a member that is missing is added, with those above."""

    location: Location
    value: Any


@dataclass
class _Node:
    """A value's place in the text, and those of the values in it."""

    start: int
    end: int = 0
    members: dict[str, _Node] = field(default_factory=dict)
    items: list[_Node] = field(default_factory=list)
    is_object: bool = False


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made; of two for one place the last counts.

    Args:
        text: A JSON document without a byte-order mark.
        edits: None of them below another.

    Raises:
        ValueError: The text is no JSON, or an edit's place cannot be (a member of a list, an item that is not there).
    """
    root, _ = _node(text, _space(text, 0))
    replacements: dict[tuple[int, int], str] = {}
    added: dict[int, tuple[_Node, dict[str, Any]]] = {}
    for edit in {edit.location: edit for edit in edits}.values():
        node, rest = _nearest(root, edit.location)
        if not rest:
            replacements[node.start, node.end] = _written(edit.value, _indent_at(text, node.start), text)
            continue
        if not node.is_object or not all(isinstance(key, str) for key in rest):
            raise ValueError(f"there is no place {edit.location!r}")
        members = added.setdefault(node.start, (node, {}))[1]
        for key in rest[:-1]:
            members = members.setdefault(str(key), {})
        members[str(rest[-1])] = edit.value
    for node, members in added.values():
        place, words = _addition(text, node, members)
        replacements[place, place] = words
    for (start, end), words in sorted(replacements.items(), reverse=True):
        text = text[:start] + words + text[end:]
    return text


def _nearest(node: _Node, location: Location) -> tuple[_Node, Location]:
    """Follow a location as far as the text goes; return the last value and the rest of the way."""
    for depth, key in enumerate(location):
        below = node.members.get(key) if isinstance(key, str) else None
        if isinstance(key, int) and 0 <= key < len(node.items):
            below = node.items[key]
        if below is None:
            return node, location[depth:]
        node = below
    return node, ()


def _addition(text: str, node: _Node, members: dict[str, Any]) -> tuple[int, str]:
    """Return where and how members are added to an object, in its own style."""
    newline = "\r\n" if "\r\n" in text else "\n"
    last = max(node.members.values(), key=lambda member: member.end, default=None)
    on_lines = "\n" in text[node.start : node.end] if last is not None else "\n" in text
    outer = _indent_at(text, node.start)
    step = _step(text)
    first = min(node.members.values(), key=lambda member: member.start, default=None)
    indent = _indent_at(text, first.start) if first is not None and on_lines else outer + step
    lines = [
        f"{json.dumps(key, ensure_ascii=False)}: {_written(value, indent, text if on_lines else '')}"
        for key, value in members.items()
    ]
    joint = f",{newline}{indent}" if on_lines else ", "
    if last is not None:
        return last.end, joint + joint.join(lines)
    opening, closing = (f"{newline}{indent}", f"{newline}{outer}") if on_lines else ("", "")
    inside = node.start + 1
    return inside, opening + joint.join(lines) + (closing if text[inside : node.end - 1].strip(" \t") == "" else "")


def _written(value: Any, indent: str, text: str) -> str:
    """Write a value as it would stand at an indent of ``text``; on one line if that has one alone, as scalars are."""
    ascii_only = text.isascii() and "\\u" in text
    if not isinstance(value, dict | list) or "\n" not in text:
        return json.dumps(value, ensure_ascii=ascii_only)
    newline = "\r\n" if "\r\n" in text else "\n"
    return json.dumps(value, ensure_ascii=ascii_only, indent=_step(text)).replace("\n", newline + indent)


def _step(text: str) -> str:
    """Return what one level of the document is indented by: what its first indented line begins with."""
    match = re.search(r"\n([ \t]+)\S", text)
    return match[1] if match else "  "


def _indent_at(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _node(text: str, at: int) -> tuple[_Node, int]:
    """Read the value that begins at ``at``; return its node and where it ends."""
    node = _Node(at)
    try:
        if text[at] == "{":
            node.is_object = True
            node.end = _members(text, at + 1, node)
        elif text[at] == "[":
            node.end = _items(text, at + 1, node)
        elif text[at] == '"':
            node.end = _string(text, at)[1]
        else:
            match = _PLAIN.match(text, at)
            if match is None:
                raise ValueError(f"no value at {at}")
            json.loads(match[0])
            node.end = match.end()
    except IndexError:
        raise ValueError("the text ends in the middle of a value") from None
    return node, node.end


def _members(text: str, at: int, node: _Node) -> int:
    at = _space(text, at)
    if text[at] == "}":
        return at + 1
    while True:
        if text[at] != '"':
            raise ValueError(f"no key at {at}")
        key, at = _string(text, at)
        at = _past(text, at, ":")
        node.members[key], at = _node(text, at)
        at = _space(text, at)
        if text[at] == "}":
            return at + 1
        at = _past(text, at, ",")


def _items(text: str, at: int, node: _Node) -> int:
    at = _space(text, at)
    if text[at] == "]":
        return at + 1
    while True:
        item, at = _node(text, at)
        node.items.append(item)
        at = _space(text, at)
        if text[at] == "]":
            return at + 1
        at = _past(text, at, ",")


def _string(text: str, at: int) -> tuple[str, int]:
    value, end = _decode(text, at)
    return str(value), end


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _past(text: str, at: int, mark: str) -> int:
    at = _space(text, at)
    if text[at] != mark:
        raise ValueError(f"no {mark} at {at}")
    return _space(text, at + 1)
