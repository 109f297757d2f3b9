"""Changing values in JSON text: what was asked for changes, and not a byte besides."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.json_edits import Edit, edited

TEXT = """{
  "a": {"x": 1.0,   "y": "caf\\u00e9"},
  "list": [
    {
      "name": "one",
      "none": null
    },
    {}
  ],
  "empty": {
  }
}
"""


def test_only_the_value_changes() -> None:
    assert edited(TEXT, [Edit(("a", "x"), None)]) == TEXT.replace("1.0", "null")
    assert edited(TEXT, [Edit(("list", 0, "name"), "zwei")]) == TEXT.replace('"one"', '"zwei"')
    assert edited(TEXT, []) == TEXT


def test_members_are_added_in_the_style_of_their_object() -> None:
    assert edited(TEXT, [Edit(("a", "z"), [1])]) == TEXT.replace('u00e9"', 'u00e9", "z": [1]')
    assert edited(TEXT, [Edit(("list", 0, "size"), 3), Edit(("list", 0, "kind"), "k")]) == TEXT.replace(
        '"none": null', '"none": null,\n      "size": 3,\n      "kind": "k"'
    )


def test_objects_on_the_way_are_made() -> None:
    text = edited(
        TEXT, [Edit(("list", 1, "a", "b"), True), Edit(("list", 1, "a", "c"), False), Edit(("empty", "d"), {})]
    )
    assert json.loads(text)["list"][1] == {"a": {"b": True, "c": False}}
    assert json.loads(text)["empty"] == {"d": {}}


def test_the_last_of_two_edits_of_one_place_counts() -> None:
    assert edited('{"a": 1}', [Edit(("a",), 2), Edit(("a",), 3)]) == '{"a": 3}'


def test_line_ends_and_tabs_stay() -> None:
    text = '{\r\n\t"a": {\r\n\t\t"b": 1\r\n\t}\r\n}\r\n'
    assert edited(text, [Edit(("a", "c"), {"d": 2})]) == (
        '{\r\n\t"a": {\r\n\t\t"b": 1,\r\n\t\t"c": {\r\n\t\t\t"d": 2\r\n\t\t}\r\n\t}\r\n}\r\n'
    )


@pytest.mark.parametrize("location", [("list", 5), ("list", "x"), ("a", "x", "deeper"), ("a", 0)])
def test_places_that_cannot_be(location: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match="there is no place"):
        edited(TEXT, [Edit(location, 1)])


@pytest.mark.parametrize("locations", [(("a",), ("a", "x")), (("a", "x"), ("a",)), (("list",), ("list", 0))])
def test_an_edit_below_another_is_refused(locations: tuple[tuple[str | int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="which is edited too"):
        edited(TEXT, [Edit(location, 1) for location in locations])


def test_of_a_repeated_member_the_last_is_edited() -> None:
    assert edited('{"a": {"b": 1}, "a": {"b": 2}}', [Edit(("a", "b"), 3)]) == '{"a": {"b": 1}, "a": {"b": 3}}'


def test_escapes_are_kept_up_in_what_is_added_on_one_line() -> None:
    assert edited('{"a": "\\u00e9"}', [Edit(("b",), "é")]) == '{"a": "\\u00e9", "b": "\\u00e9"}'


@pytest.mark.parametrize("text", ["", "{", '{"a" 1}', '{"a": }', "[1", '{"a": 1', "{1: 2}", "[nonsense]"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        edited(text, [Edit(("a",), 1)])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(
    st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=5),
    st.none() | st.integers(0, 4),
    st.booleans(),
    st.data(),
)
def test_what_is_read_afterwards_is_what_was_meant(
    document: dict[str, Any], indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(document)) | st.text())
    inner = data.draw(st.text())
    location = (key, inner) if isinstance(document.get(key), dict) and data.draw(st.booleans()) else (key,)
    value = data.draw(VALUES)
    expected = copy.deepcopy(document)
    place = expected
    for part in location[:-1]:
        place = place[part]
    place[location[-1]] = value
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    assert json.loads(edited(text, [Edit(location, value)])) == expected
