"""Documents that are read without pydantic are what pydantic makes of the same values; all others are left to it."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stemsep_envs
from stemsep_envs import documents
from stemsep_envs.documents import fast_path
from stemsep_envs.documents.base import Document, OpenDocument
from stemsep_envs.documents.checks import Unsure
from stemsep_envs.documents.document_type import LightDocument, model_of
from stemsep_envs.documents.fields import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints
from stemsep_envs.documents.registry import ModelEntry
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(stemsep_envs.__file__).parents[2]
ENTRIES = json.loads((ROOT / "registry" / "models.v2.source.json").read_bytes())["models"]
RECIPES = [tomllib.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("runtimes/*/runtime.toml"))]


def outcome(model: Any, value: Any) -> Any:
    """Return what pydantic makes of a value, or None where it refuses it."""
    try:
        return model_of(model).model_validate(value)
    except ValueError:
        return None


def said(write: Callable[[], str]) -> str:
    """Return what is written, or why it cannot be."""
    try:
        return write()
    except ValueError as error:
        return repr(error)


def as_known(value: Any) -> Any:
    """Return all there is to know of a read value, types included."""
    if isinstance(value, LightDocument):
        held = {name: as_known(item) for name, item in value.__dict__.items()}
        extra = None if value.model_extra is None else {key: as_known(item) for key, item in value.model_extra.items()}
        return type(value), list(held.items()), extra, value.model_fields_set
    if isinstance(value, Made):
        return type(value), as_known(value.word), as_known(value.words)
    if isinstance(value, Mapping):
        return type(value), [(key, as_known(item)) for key, item in value.items()]
    if isinstance(value, tuple | list):
        return type(value), [as_known(item) for item in value]
    return type(value), repr(value) if isinstance(value, float) else value


def agree(model: Any, value: Any) -> bool:
    """Compare both ways of reading and writing; say whether the fast one was sure."""
    try:
        read = model.read_plainly(value)
    except Unsure:
        return False
    expected = outcome(model, value)
    assert expected is not None, f"pydantic refuses {value!r}"
    assert as_known(read) == as_known(expected)
    assert read == expected
    serializer: Any = model_of(model).__pydantic_serializer__
    for options in ({}, {"exclude_unset": True, "by_alias": True}):
        written = serializer.to_python(expected, mode="json", **options)
        assert as_known(read.model_dump(mode="json", **options)) == as_known(written)
        for indent in (None, 1):
            text = said(lambda: serializer.to_json(expected, indent=indent, **options).decode())  # noqa: B023
            assert said(lambda: read.model_dump_json(indent=indent, **options)) == text  # noqa: B023
    return True


class Part(OpenDocument):
    name: Annotated[str, StringConstraints(min_length=1, max_length=3, pattern="^[a-z]+$")]
    weight: float | None = None


def _doubled(text: str) -> str:
    return text * 2


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Made:
    word: str
    words: tuple[str, ...] = ()


class Whole(Document):
    text: str
    count: Annotated[int, Field(ge=0, lt=10)] = 1
    ratio: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="A share.")
    flag: bool = False
    kind: Literal["one", 2, True] | None = Field(None, alias="class")
    value: bool | int | float | str | None = None
    parts: tuple[Part, ...] = ()
    named: Mapping[str, Part] = {}
    either: str | tuple[str, ...] = ()
    twice: Annotated[str, BeforeValidator(_stripped), AfterValidator(_doubled)] = "ab"
    target: Target | None = None
    made: dict[str, int] = Field(default_factory=dict)
    anything: Any = None
    given: Made | None = None
    few: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)] = (1,)


class Strict(Document):
    model_config = ConfigDict(extra="ignore", strict=True)

    name: Annotated[str, StringConstraints(max_length=3)]
    numbers: list[float] = Field(default_factory=list)
    pair: tuple[int, ...] = ()
    part: Part | None = None


WORDS = st.sampled_from(["", "a", "abc", "abcd", "one", " x ", "é", "\ud800", "linux-x86_64-cpu", "2", "a\n"])
NUMBERS = st.sampled_from([0, 1, 2, -1, 10, 1 << 53, (1 << 53) + 1, 1 << 70, 0.0, -0.0, 0.5, 1.0, 1e-5, 1e16, 1e300])
SCALARS = WORDS | NUMBERS | st.booleans() | st.none() | st.sampled_from([math.inf, math.nan])
PARTS = st.fixed_dictionaries({"name": WORDS}, optional={"weight": SCALARS, "more": SCALARS})
VALUES = SCALARS | PARTS | st.lists(WORDS | NUMBERS, max_size=3) | st.lists(PARTS, max_size=2) | st.tuples(NUMBERS)


def stated(model: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Make values for some of a model's fields, most of them of a wrong type."""
    keys = [field.key for field in model.__declaration__.fields.values()]
    return st.dictionaries(st.sampled_from([*keys, "strange"]), VALUES, max_size=4)


@given(stated(Whole), st.fixed_dictionaries({"text": WORDS}, optional={"named": st.dictionaries(WORDS, PARTS)}))
def test_odd_values_are_read_as_pydantic_reads_them(value: dict[str, Any], certain: dict[str, Any]) -> None:
    agree(Whole, {**value, **certain})


@given(stated(Strict), st.fixed_dictionaries({"name": WORDS}, optional={"part": PARTS}))
def test_strict_values_are_read_as_pydantic_reads_them(value: dict[str, Any], certain: dict[str, Any]) -> None:
    agree(Strict, {**value, **certain})


@pytest.mark.parametrize(
    "value",
    [
        {"text": "x"},
        {"text": "é", "count": 0, "ratio": 1, "flag": True, "class": "one", "value": 3},
        {"text": "", "class": 2, "value": "x", "parts": [{"name": "a", "new": [1]}], "named": {"k": {"name": "b"}}},
        {"text": "", "class": True, "value": 0.5, "either": ["a"], "twice": " a ", "target": "linux-x86_64-cpu"},
        {"text": "", "value": None, "either": "a", "made": {"a": 1}, "anything": {"a": [None]}, "few": [1, 2]},
        {"text": "", "parts": (Part(name="a"),), "value": False, "given": Made("a", ("b",))},
    ],
)
def test_right_values_need_no_pydantic(value: dict[str, Any]) -> None:
    assert agree(Whole, value)


@pytest.mark.parametrize(
    "change",
    [
        {"text": 1},
        {"count": 10},
        {"count": "1"},
        {"ratio": math.nan},
        {"ratio": 1 << 60},
        {"flag": 1},
        {"class": 1},
        {"class": "two"},
        {"parts": {}},
        {"parts": [{"name": "a\n"}]},
        {"parts": [{"name": "\ud800"}]},
        {"target": "amiga-cpu"},
        {"few": []},
        {"few": [1, 2, 3]},
        {"unknown": 1},
        {"kind": "one"},
        {"given": {"word": "a"}},
    ],
)
def test_doubtful_values_are_pydantics(change: dict[str, Any]) -> None:
    assert not agree(Whole, {"text": "x", **change})


def test_missing_field_is_pydantics() -> None:
    assert not agree(Whole, {})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_shipped_entries_need_no_pydantic(entry: dict[str, Any]) -> None:
    assert agree(ModelEntry, entry)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe["id"])
def test_shipped_recipes_need_no_pydantic(recipe: dict[str, Any]) -> None:
    assert agree(RuntimeRecipe, recipe)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything that a JSON value holds."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with another in one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


@given(st.data())
def test_changed_entries_are_read_as_pydantic_reads_them(data: st.DataObject) -> None:
    model, whole = data.draw(
        st.sampled_from([*((ModelEntry, e) for e in ENTRIES), *((RuntimeRecipe, r) for r in RECIPES)])
    )
    path = data.draw(st.sampled_from(list(places(whole))))
    agree(model, changed(whole, path, data.draw(VALUES)))


def document_classes() -> list[Any]:
    """Return every document class that the package declares."""
    for module in pkgutil.iter_modules(documents.__path__):
        importlib.import_module(f"{documents.__name__}.{module.name}")
    found, left = [], [Document, OpenDocument]
    while left:
        below = [one for one in left.pop().__subclasses__() if one.__module__.startswith("stemsep_envs.")]
        found += below
        left += below
    return sorted(set(found), key=lambda one: (one.__module__, one.__name__))


@pytest.mark.parametrize("model", document_classes(), ids=lambda model: model.__name__)
def test_every_field_of_every_document_has_a_check(model: Any) -> None:
    """A field that the fast path does not understand would make every command that reads it load pydantic."""
    from stemsep_envs.documents.checks import never

    reader = fast_path.Reader(model)
    assert [field.name for field in reader.fields if field._made_check() is never] == []
