"""Scanning JSON text: the places are those that Python's own parser would find, in every text, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stemsep_envs.documents.json_scanner import read_value, scan_array, scan_document, scan_object

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
SPACE = st.text(" \t\r\n", max_size=3)


def scanned(text: str) -> Any:
    """Put a document together from its smallest values, each read where the scanner says that it stands."""
    spans: list[tuple[int, int]] = []

    def scan(start: int) -> tuple[Any, int]:
        if text.startswith("{", start):
            members: dict[str, Any] = {}
            end = scan_object(text, start, lambda name, at: keep(members, name, at))
        elif text.startswith("[", start):
            items: dict[int, Any] = {}
            end = scan_array(text, start, lambda index, at: keep(items, index, at))
            assert list(items) == list(range(len(items)))
        else:
            value, end = read_value(text, start)
            spans.append((start, end))
            return value, end
        spans.append((start, end))
        return (members if text.startswith("{", start) else list(items.values())), end

    def keep(into: dict[Any, Any], key: object, at: int) -> int:
        into[key], end = scan(at)
        return end

    whole: dict[str, Any] = {}
    scan_document(text, lambda at: keep(whole, "", at))
    for start, end in spans:
        json.loads(text[start:end])
        assert text[start:end] == text[start:end].strip(" \t\r\n"), "a place holds the value and no space around it"
    return whole[""]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A document with space of any kind wherever JSON allows it."""

    def written(value: Any) -> str:
        before, after = draw(SPACE), draw(SPACE)
        if isinstance(value, dict):
            pairs = (f"{draw(SPACE)}{json.dumps(key)}{draw(SPACE)}:{written(item)}" for key, item in value.items())
            text = "{" + (",".join(pairs) or draw(SPACE)) + "}"
        elif isinstance(value, list):
            text = "[" + (",".join(map(written, value)) or draw(SPACE)) + "]"
        else:
            text = json.dumps(value, ensure_ascii=draw(st.booleans()))
        return before + text + after

    return written(draw(VALUES))


@given(documents())
def test_every_value_is_found_where_it_stands(text: str) -> None:
    assert scanned(text) == json.loads(text)


@given(documents(), st.data())
@example('{"a": 1, }', None)
@example("[1, ]", None)
@example("[1] 2", None)
@example("", None)
def test_texts_are_refused_exactly_where_the_parser_refuses(text: str, data: st.DataObject | None) -> None:
    """A text with a part cut out, doubled or replaced is read as json.loads reads it, or refused as it refuses."""
    if data is not None:
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 3)))
        text = (
            text[:start]
            + data.draw(st.sampled_from(["", text[start:end] * 2, ",", ":", "{", "]", '"', "0"]))
            + text[end:]
        )
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            scanned(text)
    else:
        assert scanned(text) == expected


@pytest.mark.parametrize(
    ("scan", "text"),
    [(scan_object, "[]"), (scan_array, "{}"), (scan_object, "{1: 2}"), (scan_object, '{"a" 1}'), (scan_array, "[1 2]")],
)
def test_another_kind_of_value_is_refused(scan: Any, text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        scan(text, 0, lambda _, at: read_value(text, at)[1])


def test_a_value_that_is_left_to_the_parser_is_skipped() -> None:
    text = '{"skipped": {"a": [1, {"b": 2}]}, "wanted": [true]}'
    places: dict[str, str] = {}

    def scan_member(name: str, at: int) -> int:
        _, end = read_value(text, at)
        places[name] = text[at:end]
        return end

    assert scan_object(text, 0, scan_member) == len(text)
    assert places == {"skipped": '{"a": [1, {"b": 2}]}', "wanted": "[true]"}
