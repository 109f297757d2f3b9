"""What steers a terminal is taken away, shown, or escaped: of what workers say, of names, of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.base import Document
from stemsep_envs.documents.terminal import clean, clean_word, visible
from stemsep_envs.documents.writing import json_text

STEERING = {*map(chr, range(0x7F, 0xA0)), *"\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"}


class Named(Document):
    name: str
    values: dict[str, Any]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ünïcode 🎸\n\ttab", "plain ünïcode 🎸\n\ttab"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H", ""),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;unterminated\nnext line", "\nnext line"),
        ("\x1b\x1b[0m[31m", "[31m"),
        ("\x1b", ""),
        ("a\x08b\x07\x00\x9b31m", "ab31m"),
        ("a\u202eb\u2066c\u200fd", "abcd"),
        ("one\u2028two", "onetwo"),
        ("half \ud800", "half "),
    ],
)
def test_clean(text: str, seen: str) -> None:
    assert clean(text) == seen


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]\\;m0\x07\x9b\r\n")), max_size=40))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    left = clean(text)
    assert not {char for char in left if ord(char) < 32 or 127 <= ord(char) < 160} - {"\n", "\t"}
    assert clean(left) == left
    left.encode()


def test_a_word_is_one_line() -> None:
    assert clean_word("a\nb\tc\x1b[2J\r") == "a b c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 歌 \N{MUSICAL SYMBOL G CLEF}", "plain é 歌 \N{MUSICAL SYMBOL G CLEF}"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202egnp.wav", r"\u202egnp.wav"),
        ("\x9b2J\u2028", r"\x9b2J\u2028"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_what_would_steer_a_terminal_is_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("other", ["", "caf\udce9"])  # what is no text takes another way
def test_json_steers_no_terminal_and_tells_all(indent: int | None, other: str) -> None:
    steering = "".join(sorted(STEERING)) + "\x1b\x00"
    document = Named(name=steering, values={f"key{steering}": f"é 歌{steering}", "other": other})
    text = json_text(document, indent=indent)
    assert not STEERING & set(text)
    assert "\x1b" not in text
    assert "é 歌" in text
    read = json.loads(text)
    assert (read["name"], read["values"][f"key{steering}"]) == (steering, f"é 歌{steering}")
