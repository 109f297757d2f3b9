r"""What in a text would steer a terminal, and the three ways to make it harmless.

`clean` takes it away: what a worker says need not be kept as it was. `visible` shows it (``\x1b``): a name that people
read stays recognisable. `escaped_in_json` writes it as JSON's own escapes, so that programs read what was there.
"""

from __future__ import annotations

import re

_DIRECTIONS = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Marks of direction and ends of lines: text that reads as it is not."""

_HALVES = "\ud800-\udfff"
"""Halves of characters, which no stream takes."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links, clipboard
    r"|\x1b[@-Z\\-_]"  # other two-character escapes
    rf"|[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONS}{_HALVES}]"  # control characters but tab and newline
)
_STEERING = re.compile(f"[\x00-\x1f\x7f-\x9f{_DIRECTIONS}{_HALVES}]")
_STEERING_IN_JSON = re.compile(f"[\x7f-\x9f{_DIRECTIONS}]")


def clean(text: str) -> str:
    """Remove terminal escapes, control characters and marks of text direction from text; newlines and tabs stay."""
    return _ESCAPES.sub("", text)


def clean_word(text: str) -> str:
    """Remove the same from a name or a word, which is one line."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def visible(text: str) -> str:
    r"""Return text for a terminal, with what would steer it made visible (``\x1b``, ``\u202e``)."""
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escaped_in_json(text: str) -> str:
    """Return JSON text with all that would steer a terminal as escapes; JSON asks that of a part of it alone."""
    return _STEERING_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
