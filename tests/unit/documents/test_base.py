"""How documents are parsed: strictly, with every problem at its path, keeping what is not known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from stemsep_envs.documents.base import (
    MAX_PROBLEMS,
    Document,
    OpenDocument,
    dotted_path,
    load_json,
    parse_json,
    plain,
    unknown_fields,
)
from stemsep_envs.documents.strict_json import MAX_DEPTH
from stemsep_envs.errors import InvalidDocumentError


class Inner(OpenDocument):
    words: tuple[str, ...] = ()
    count: int | None = None


class Outer(OpenDocument):
    inner: Inner
    named: Mapping[str, Inner] = {}
    word: str | None = Field(None, alias="class")


class Closed(Document):
    id: str
    parts: tuple[Inner, ...] = ()
    size: Annotated[int, Field(ge=1)] = 1


def problems(data: bytes | str, model: Any = Closed) -> list[str]:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_json(data, model, origin="file.json")
    assert caught.value.origin == "file.json"
    for problem in caught.value.problems:
        str(problem).encode()  # printable, whatever the document holds
    return [str(problem) for problem in caught.value.problems]


def test_every_problem_is_listed_with_its_path() -> None:
    text = '{"parts": [{"words": [1]}, {"count": "x"}, []], "size": 0, "extra": 1}'
    assert problems(text) == [
        "id: required, but missing",
        "parts[0].words[0]: must be text, not a number",
        'parts[1].count: must be a whole number, not "x"',
        "parts[2]: must be an object, not a list",
        "size: must be greater than or equal to 1, not 0",
        "extra: unknown field",
    ]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("models", 3, "runtime", "allowed", 0), "models[3].runtime.allowed[0]"),
        ((), ""),
        ((0, "a"), "[0].a"),
        (("tags", "a.b"), 'tags["a.b"]'),
        (("settings", "audio-separator"), "settings.audio-separator"),
        (("settings", "\ud800"), r'settings["\ud800"]'),
        (("settings", "k" * 100), f"settings.{'k' * 100}"),
        (("settings", "k" * 101), f'settings["{"k" * 56}...]'),
        (("meaning_by_runtime", "Msst", "[key]"), "meaning_by_runtime.Msst"),
    ],
)
def test_dotted_path(location: tuple[str | int, ...], path: str) -> None:
    assert dotted_path(location) == path


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", "true"])
def test_a_document_of_another_shape_is_refused(text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON: Expecting value (line 1, column 1)"),
        (b'{"id": "x",\n "size": }', "not JSON: Expecting value (line 2, column 10)"),
        (b'{"id": "x"} {}', "not JSON: Extra data (line 1, column 13)"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 text (byte 0 cannot be decoded)"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), f"nested too deeply (more than {MAX_DEPTH} levels)"),
        (b'{"id": NaN}', "id: NaN is not a finite number"),
        (b'{"a": [1, -Infinity]}', "a[1]: -Infinity is not a finite number"),
        (b'{"a": 1e999}', "a: 1e999 is not a finite number"),
        (b'{"a": {"b": ' + b"9" * 5000 + b"}}", "a.b: a whole number of 5000 digits is more than a document may hold"),
        (b'{"a": {"x": 1, "x": 2}}', "a.x: appears more than once in its object"),
        (b'{"a": "\\ud800"}', r'a: "\ud800" holds half of a character (a lone surrogate)'),
        (b'{"a": {"\\udc00": 1}}', r'a: "\udc00" holds half of a character (a lone surrogate)'),
    ],
)
def test_what_json_allows_and_no_document_may_hold(data: bytes, words: str) -> None:
    assert problems(data) == [words]


def test_one_repeated_key_among_very_many_is_found() -> None:
    """Counted once for all keys: looked for key by key, this takes minutes."""
    text = "{" + "".join(f'"k{number}": 1, ' for number in range(100_000)) + '"k7": 1}'
    assert problems(text) == ["k7: appears more than once in its object"]


def test_many_problems_below_a_long_key_are_told_in_short() -> None:
    """Each is told with its path: were that as long as the key, they would fill the memory."""
    text = f'{{"{"k" * 500_000}": [{", ".join(["NaN"] * 100_000)}]}}'
    told = problems(text)
    assert told[0] == f'["{"k" * 56}...][0]: NaN is not a finite number'
    assert told[-1] == f"and {100_000 - MAX_PROBLEMS} more"
    assert max(map(len, told)) < 200


def test_how_much_a_document_holds_can_be_bounded() -> None:
    text = '{"a": [{}, {"b": 1}], "c": {"d": NaN}}'
    assert load_json(text.replace("NaN", "2"), origin="x", max_values=6)["c"] == {"d": 2}
    with pytest.raises(InvalidDocumentError) as caught:
        load_json(text, origin="x", max_values=5)
    assert [str(problem) for problem in caught.value.problems] == ["more than 5 values"]


def test_all_refused_values_are_listed_together() -> None:
    text = '{"a": NaN, "a": 1, "b": [{"c": 1, "c": 2, "c": 3}, "\\udfff"], "d": 1e400}'
    assert problems(text) == [
        "a: appears more than once in its object",
        "b[0].c: appears more than once in its object",
        r'b[1]: "\udfff" holds half of a character (a lone surrogate)',
        "d: 1e400 is not a finite number",
    ]


def test_a_byte_order_mark_and_sound_surrogate_pairs_are_read() -> None:
    assert load_json('\ufeff{"a": "\\ud83c\\udfb5"}'.encode(), origin="x") == {"a": "\U0001f3b5"}
    assert load_json('\ufeff{"a": 1}', origin="x") == {"a": 1}
    assert load_json(r'{"a": "\\ud800"}', origin="x") == {"a": r"\ud800"}


def test_the_deepest_document_allowed_is_read_and_written() -> None:
    depth = MAX_DEPTH - 1
    text = '{"id": "x", "deep": ' + "[" * depth + "]" * depth + "}"
    document = parse_json(text, OpenDocument, origin="x")
    assert plain(document) == json.loads(text)


def test_problems_beyond_the_limit_are_counted() -> None:
    text = json.dumps({"id": "x", "parts": [1] * (MAX_PROBLEMS + 5)})
    listed = problems(text)
    assert len(listed) == MAX_PROBLEMS + 1
    assert listed[-1] == "and 5 more"


def test_unknown_fields_are_kept_and_found() -> None:
    value = {
        "inner": {"words": ["a"], "new": {"deep": None}},
        "named": {"x": {"odd.key": 1}},
        "class": None,
        "also": [],
    }
    document = parse_json(json.dumps(value), Outer, origin="x")
    assert sorted(unknown_fields(document)) == ["also", "inner.new", 'named.x["odd.key"]']
    assert plain(document) == value


def test_null_and_absent_stay_apart() -> None:
    for text in ('{"inner": {}}', '{"inner": {"count": null}}', '{"inner": {}, "class": null}'):
        assert json.dumps(plain(parse_json(text, Outer, origin="x"))) == text


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read_but_never_breaks(data: bytes) -> None:
    with suppress(InvalidDocumentError):
        load_json(data, origin="x")


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20) + 1, 10**20 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


@given(JSON)
def test_sound_json_is_read_as_python_reads_it(value: Any) -> None:
    assert load_json(json.dumps(value), origin="x") == value
    assert load_json(json.dumps(value, ensure_ascii=False).encode(), origin="x") == value


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_an_open_document_gives_back_what_it_was_given(value: dict[str, Any]) -> None:
    document = parse_json(json.dumps(value), OpenDocument, origin="x")
    assert plain(document) == value
    assert len(list(unknown_fields(document))) == len(value)
