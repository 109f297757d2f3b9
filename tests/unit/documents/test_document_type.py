"""Documents behave as pydantic's frozen models do, also before pydantic is loaded."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pytest
from pydantic import Field as PydanticField
from pydantic import TypeAdapter, ValidationError

from stemsep_envs.documents.base import Document, OpenDocument
from stemsep_envs.documents.document_type import LightDocument, model_of
from stemsep_envs.documents.fields import Field, model_validator


class Point(Document):
    x: int
    y: int = 0

    @cached_property
    def total(self) -> int:
        return self.x + self.y


class Named(Point):
    name: str | None = Field(None, alias="class")


class Open(OpenDocument):
    point: Point | None = None
    by_name: Mapping[str, Point] = {}


class Ordered(Document):
    low: int
    high: int

    @model_validator(mode="after")
    def _in_order(self) -> Ordered:
        if self.high < self.low:
            raise ValueError("high is below low")
        return self


class Foreign(Document):
    count: int = PydanticField(1, ge=1)


def test_wrong_values_are_refused_as_pydantic_refuses_them() -> None:
    with pytest.raises(ValidationError) as caught:
        Named.model_validate({"y": "two", "z": 1, "class": 3})
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [
        (("x",), "missing"),
        (("y",), "int_parsing"),
        (("class",), "string_type"),
        (("z",), "extra_forbidden"),
    ]
    with pytest.raises(ValidationError):
        Point(x=None)  # type: ignore[arg-type]


def test_values_that_pydantic_converts_are_converted() -> None:
    point = Point(x="3", y=2.0)  # type: ignore[arg-type]
    assert (point, type(point.y)) == (Point(x=3, y=2), int)
    assert Open.model_validate({"point": {"x": "1"}}).point == Point(x=1)


def test_whole_document_is_checked() -> None:
    assert Ordered(low=1, high=2).high == 2
    with pytest.raises(ValidationError, match="high is below low"):
        Ordered(low=2, high=1)


def test_field_in_pydantics_own_words_is_read() -> None:
    assert (Foreign().count, Foreign(count=3).count) == (1, 3)
    with pytest.raises(ValidationError):
        Foreign(count=0)


def test_documents_cannot_be_changed() -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2
    with pytest.raises(AttributeError, match="frozen"):
        del point.x


def test_documents_are_equal_by_class_and_fields() -> None:
    point = Point(x=1)
    assert point.total == 1  # kept in the document, and no part of it
    assert point == Point(x=1, y=0)
    assert hash(point) == hash(Point(x=1))
    assert point not in {Point(x=2), Named(x=1)}
    assert Open.model_validate({"more": 1}) != Open()
    assert repr(Named(x=1)) == "Named(x=1, y=0, name=None)"


def test_copies_keep_what_was_stated() -> None:
    document = Open.model_validate({"point": {"x": 1}, "more": [1]})
    for again in (copy.copy(document), copy.deepcopy(document), pickle.loads(pickle.dumps(document))):
        assert (again, again.model_fields_set, again.model_extra) == (document, {"point", "more"}, {"more": [1]})
    changed = document.model_copy(update={"by_name": {}, "less": 2})
    assert (changed.by_name, changed.model_extra) == ({}, {"more": [1], "less": 2})
    assert changed.model_fields_set == {"point", "by_name", "more", "less"}
    assert document.model_extra == {"more": [1]}


def test_what_only_pydantic_knows_is_asked_of_its_model() -> None:
    assert list(Named.model_fields) == ["x", "y", "name"]
    assert Named.model_json_schema()["properties"]["class"]["default"] is None
    assert Point.model_validate_json('{"x": 1}') == Point(x=1)
    assert issubclass(model_of(Named), model_of(Point))
    with pytest.raises(AttributeError):
        _ = Point.nothing  # type: ignore[attr-defined]


def test_pydantic_reads_documents_into_the_same_class() -> None:
    read: Any = TypeAdapter(list[Point]).validate_python([{"x": 1}, Point(x=2)])
    assert read == [Point(x=1), Point(x=2)]
    assert isinstance(read[0], LightDocument)


def test_class_of_a_function_may_name_its_neighbour() -> None:
    class Inner(Document):
        x: int

    class Outer(Document):
        inner: Inner

    assert Outer.model_validate({"inner": {"x": 1}}).inner == Inner(x=1)
    assert Outer.model_validate({"inner": {"x": "1"}}).inner == Inner(x=1)
