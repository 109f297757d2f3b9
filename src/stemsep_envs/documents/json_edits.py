"""Changing values in JSON text without touching the rest of it: order, indents, escapes and line ends stay as they are.

A registry is edited by hand and reviewed as a diff, so that a tool which changes three values must change three lines.
Pure: text in, text out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from stemsep_envs.documents.json_scanner import read_value, scan_array, scan_document, scan_object

Location: TypeAlias = tuple[str | int, ...]

_INDENTED = re.compile(r"\n([ \t]+)\S")


@dataclass(frozen=True)
class Edit:
    """Put ``value`` at ``location``. What is there is replaced; a member that is missing is added, with those above."""

    location: Location
    value: Any


_Tree: TypeAlias = "Edit | dict[str | int, _Tree]"
"""Edits by the way to them: an edit, or those of the members or items of a value."""

_Replacement: TypeAlias = tuple[int, int, str]
"""From where to where text is replaced, and by what."""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made; of two for one place the last counts.

    Args:
        text: A JSON document without a byte-order mark.
        edits: None of them below another.

    Raises:
        ValueError: The text is no JSON, or an edit's place cannot be (a member of a list, an item that is not there).
    """
    tree = _tree({edit.location: edit for edit in edits}.values())
    replacements: list[_Replacement] = []
    editor = _Editor(text, _Style.of(text))
    scan_document(text, lambda start: editor.scan(start, tree, replacements))
    parts, done = [], 0
    for start, end, words in replacements:  # in the order of the text, none within another
        parts += [text[done:start], words]
        done = end
    return "".join([*parts, text[done:]])


def _tree(edits: Iterable[Edit]) -> _Tree:
    tree: dict[str | int, _Tree] = {}
    for edit in edits:
        if not edit.location:
            return edit
        node = tree
        for key in edit.location[:-1]:
            below = node.setdefault(key, {})
            if isinstance(below, Edit):
                raise ValueError(f"{edit.location!r} is below {below.location!r}, which is edited too")  # noqa: TRY004
            node = below
        if edit.location[-1] in node:
            raise ValueError(f"an edit below {edit.location!r}, which is edited too")
        node[edit.location[-1]] = edit
    return tree


@dataclass(frozen=True)
class _Style:
    """How a document is written.

    Attributes:
        newline: What ends its lines; None where it has one alone.
        step: What one level is indented by: what its first indented line begins with.
        ascii_only: Whether other characters are written as escapes.
    """

    newline: str | None
    step: str
    ascii_only: bool

    @classmethod
    def of(cls, text: str) -> _Style:
        newline = ("\r\n" if "\r\n" in text else "\n") if "\n" in text else None
        indented = _INDENTED.search(text)
        return cls(newline, indented[1] if indented else "  ", text.isascii() and "\\u" in text)

    def written(self, value: Any, indent: str) -> str:
        """Write a value as it would stand at an indent; on one line where the document has one alone."""
        if self.newline is None or not isinstance(value, dict | list):
            return json.dumps(value, ensure_ascii=self.ascii_only)
        lines = json.dumps(value, ensure_ascii=self.ascii_only, indent=self.step)
        return lines.replace("\n", self.newline + indent)


class _Editor:
    """Goes through a text along the edits, and finds what each of them replaces."""

    def __init__(self, text: str, style: _Style) -> None:
        self._text = text
        self._style = style

    def scan(self, start: int, tree: _Tree | None, found: list[_Replacement]) -> int:
        """Scan the value that begins at ``start``, add the replacements in it; return the place behind it."""
        text = self._text
        if isinstance(tree, dict) and tree:
            if text.startswith("{", start):
                return self._scan_object(start, tree, found)
            if text.startswith("[", start):
                return self._scan_array(start, tree, found)
            raise ValueError(f"there is no place {_first(tree).location!r}")
        _, end = read_value(text, start)
        if isinstance(tree, Edit):
            found.append((start, end, self._style.written(tree.value, _indent_at(text, start))))
        return end

    def _scan_object(self, start: int, tree: dict[str | int, _Tree], found: list[_Replacement]) -> int:
        values: dict[str, tuple[int, int]] = {}
        inner: dict[str, list[_Replacement]] = {}

        def scan_member(name: str, at: int) -> int:
            values.pop(name, None)  # of a repeated member the last counts, here as where it is read
            inner[name] = []
            end = self.scan(at, tree.get(name), inner[name])
            values[name] = (at, end)
            return end

        end = scan_object(self._text, start, scan_member)
        for name in values:
            found += inner[name]
        missing = {key: below for key, below in tree.items() if key not in values}
        if missing:
            found.append(self._addition(start, end, list(values.values()), _members(missing)))
        return end

    def _scan_array(self, start: int, tree: dict[str | int, _Tree], found: list[_Replacement]) -> int:
        count = 0

        def scan_item(index: int, at: int) -> int:
            nonlocal count
            count = index + 1
            return self.scan(at, tree.get(index), found)

        end = scan_array(self._text, start, scan_item)
        for key, below in tree.items():
            if not isinstance(key, int) or not 0 <= key < count:
                raise ValueError(f"there is no place {_first(below).location!r}")
        return end

    def _addition(self, start: int, end: int, values: list[tuple[int, int]], members: dict[str, Any]) -> _Replacement:
        """Return where and how members are added to an object, in its own style.

        Args:
            start: Where the object begins.
            end: The place behind it.
            values: Where the values of its members stand.
            members: What is added.
        """
        text, style = self._text, self._style
        outer = _indent_at(text, start)
        on_lines = style.newline is not None and (not values or "\n" in text[start:end])
        if not on_lines:
            style = replace(style, newline=None)
        indent = _indent_at(text, values[0][0]) if values and on_lines else outer + style.step
        lines = [
            f"{json.dumps(key, ensure_ascii=style.ascii_only)}: {style.written(value, indent)}"
            for key, value in members.items()
        ]
        newline = style.newline or ""
        joint = f",{newline}{indent}" if on_lines else ", "
        if values:
            last_end = values[-1][1]
            return last_end, last_end, joint + joint.join(lines)
        opening, closing = (f"{newline}{indent}", f"{newline}{outer}") if on_lines else ("", "")
        inside = start + 1
        is_empty = text[inside : end - 1].strip(" \t") == ""
        return inside, inside, opening + joint.join(lines) + (closing if is_empty else "")


def _members(tree: dict[str | int, _Tree]) -> dict[str, Any]:
    """Return what missing members are to hold."""
    members: dict[str, Any] = {}
    for key, below in tree.items():
        if not isinstance(key, str):
            raise ValueError(f"there is no place {_first(below).location!r}")  # noqa: TRY004 - a matter of the text
        members[key] = below.value if isinstance(below, Edit) else _members(below)
    return members


def _first(tree: _Tree) -> Edit:
    while not isinstance(tree, Edit):
        tree = next(iter(tree.values()))
    return tree


def _indent_at(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip(" \t"))]
