"""Reading and writing documents without pydantic, where a value is plainly right.

Loading pydantic and building its validators takes longer than most commands have to do, and nearly every document that
is read is without fault. So what a document class declares is looked at here first. A value is taken only where there
is no doubt what pydantic would make of it: it has exactly the declared type and keeps every bound. Whatever is missing,
of another type, too long, unknown or merely unusual raises `Unsure`, and pydantic decides, in its own words: nothing is
refused here. Tests hold both ways of reading equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from stemsep_envs.documents.checks import Check, Unsure, check_of, never, trusted
from stemsep_envs.documents.declared import MISSING, Declaration, DeclaredField, FieldsBefore

_PLAIN = {type(None), str, bool, int}
_FIXED_POINT = (1e-4, 1e16)
"""Between these JSON writers agree on how a number is spelled."""


class Reader:
    """Reads documents of one class from plain values."""

    def __init__(self, document: Any) -> None:
        declaration: Declaration = document.__declaration__
        self.strict = bool(declaration.config.get("strict"))
        self.open = declaration.config.get("extra", "ignore")
        self.fields = [FieldReader(field, document, self.strict) for field in declaration.fields.values()]
        self.keys = {field.key for field in self.fields}
        self.whole = [mark.method for mark in declaration.methods if mark.word == "model_validator"]
        self.extra = declaration.extra

    def read_into(self, instance: Any, values: object) -> None:
        """Fill a new document of the class; raises `Unsure`."""
        if type(values) is not dict:
            raise Unsure
        attributes: dict[str, Any] = {}
        stated: set[str] = set()
        for field in self.fields:
            if field.key in values:
                attributes[field.name] = field.read(values[field.key], attributes)
                stated.add(field.name)
            else:
                attributes[field.name] = field.default()
        unknown: dict[str, Any] | None = {} if self.open == "allow" else None
        if len(stated) < len(values) and self.open != "ignore":
            unknown = self._unknown(values)
            stated.update(unknown)
        fill(instance, attributes, unknown, stated)
        for method in self.whole:
            trusted(method, instance)

    def _unknown(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return what the class does not know and keeps."""
        if self.open != "allow":
            raise Unsure
        check = check_of(get_args(self.extra.evaluated())[1] if self.extra else Any, strict=self.strict)
        unknown = {key: check(value) for key, value in values.items() if key not in self.keys}
        if any(type(key) is not str for key in unknown):
            raise Unsure
        return unknown


class FieldReader:
    """Reads one field. Its check is made when a document first states it."""

    def __init__(self, declared: DeclaredField, document: Any, strict: bool) -> None:
        self.name = declared.name
        self.key = declared.key
        self._declared = declared
        self._document = document
        self._strict = strict
        self._check: Check | None = None
        methods = document.__declaration__.methods
        self._methods = [mark for mark in methods if mark.word == "field_validator" and self.name in mark.names]

    def read(self, value: Any, before: Mapping[str, Any]) -> Any:
        """Return what the field holds; ``before`` are the fields before it."""
        check = self._check
        if check is None:
            check = self._check = self._made_check()
        value = check(value)
        for mark in self._methods:
            method = mark.method.__get__(None, self._document)
            told = (FieldsBefore(before),) if mark.method.__func__.__code__.co_argcount > 2 else ()
            value = trusted(method, value, *told)
        return value

    def default(self) -> Any:
        """Return what the field holds where nothing is stated."""
        if self._declared.factory is not None:
            return self._declared.factory()
        value = self._declared.default
        if value is MISSING or self._declared.bounds is None:
            raise Unsure
        return value.copy() if type(value) in {dict, list, set} else value

    def _made_check(self) -> Check:
        bounds = self._declared.bounds
        if bounds is None or any(mark.mode != "after" for mark in self._methods):
            return never
        try:
            return check_of(self._declared.evaluated(), strict=self._strict, bounds=bounds)
        except NameError:
            return never


def read_into(instance: Any, values: object) -> None:
    """Fill a new document from plain values.

    Raises:
        Unsure: They are pydantic's to read.
    """
    document = type(instance)
    reader = document.__dict__.get("__reader__")
    if reader is None:
        reader = document.__reader__ = Reader(document)
    reader.read_into(instance, values)


def fill(instance: Any, attributes: dict[str, Any], unknown: dict[str, Any] | None, stated: set[str]) -> None:
    """Put into a new document its fields, what its class does not know, and which of all were stated."""
    put = object.__setattr__
    put(instance, "__dict__", attributes)
    put(instance, "__pydantic_extra__", unknown)
    put(instance, "__pydantic_fields_set__", stated)


def members(
    document: Any, *, without: frozenset[str] = frozenset(), stated_only: bool = False, by_key: bool = False
) -> dict[str, Any]:
    """Return what a document holds in plain JSON types, as pydantic does with ``mode="json"``.

    Args:
        document: The document.
        without: Fields to leave out.
        stated_only: Leave out fields that have their defaults because nothing was stated, at every depth.
        by_key: Call fields as they are called in documents.

    Raises:
        Unsure: It holds what is pydantic's to write.
    """
    stated = document.__pydantic_fields_set__
    return {
        key: _plain(value, stated_only=stated_only, by_key=by_key)
        for name, key, value in _named_members(document, by_key=by_key)
        if name not in without and (not stated_only or name in stated)
    }


def _named_members(document: Any, *, by_key: bool) -> Iterator[tuple[str, str, Any]]:
    held = document.__dict__
    for name, declared in document.__declaration__.fields.items():
        yield name, declared.key if by_key else name, held[name]
    for name, value in (document.__pydantic_extra__ or {}).items():
        yield name, name, value


def _plain(value: Any, *, stated_only: bool, by_key: bool) -> Any:
    kind = type(value)
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return value
    if kind is tuple or kind is list:
        return [_plain(item, stated_only=stated_only, by_key=by_key) for item in value]
    if kind is dict:
        return {_whole(key): _plain(item, stated_only=stated_only, by_key=by_key) for key, item in value.items()}
    if hasattr(kind, "__declaration__"):
        return members(value, stated_only=stated_only, by_key=by_key)
    if hasattr(kind, "from_document"):  # such as a target, whose form in documents is a text
        return str(value)
    if hasattr(kind, "__dataclass_fields__"):
        names = kind.__dataclass_fields__
        return {name: _plain(getattr(value, name), stated_only=stated_only, by_key=by_key) for name in names}
    raise Unsure


def is_spelled_alike(value: Any) -> bool:
    """Say whether pydantic and the standard library write a plain value as the same JSON text."""
    kind = type(value)
    if kind is str:
        _whole(value)
        return True
    if kind is float:
        return bool(value == 0 or _FIXED_POINT[0] <= abs(value) < _FIXED_POINT[1])
    if kind is list:
        return all(map(is_spelled_alike, value))
    if kind is dict:
        return all(map(is_spelled_alike, value)) and all(map(is_spelled_alike, value.values()))
    return True


def _whole(text: object) -> str:
    """Return what is a text without halves of characters; raises `Unsure`."""
    if type(text) is not str:
        raise Unsure
    if not text.isascii():
        trusted(text.encode)
    return text
