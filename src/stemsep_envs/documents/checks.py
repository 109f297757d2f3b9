"""Annotations of document fields as functions that take a plainly right value and are unsure of every other.

This is the part of `fast_path` that knows types: which values pydantic would take as they are (or, of a list for a
tuple and a whole number for a floating-point one, in one certain form).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from stemsep_envs.documents.declared import Mark

Check = Callable[[Any], Any]
"""Gives what a field holds once a value is read into it; raises `Unsure`."""

_EXACT_UP_TO = 1 << 53
"""Whole numbers up to here are floating-point numbers too, with nothing lost."""

_BOUNDS = {"min_length", "max_length", "pattern", "ge", "gt", "le", "lt"}
_FOR_SCHEMAS = {"default", "description", "examples", "title"}
_DIFFERS_BY_LANGUAGE = re.compile(r"\\[dDwWsSbB]|\(\?")
"""What regular expressions of Python and of pydantic, which has Rust's, do not agree on."""


class Unsure(Exception):  # noqa: N818 - no error: the value is pydantic's to judge
    """Whether the value is right is not plain."""


class _NotPlainError(Exception):
    """An annotation says something that is not known here."""


def check_of(annotation: Any, *, strict: bool, bounds: Mapping[str, Any] | None = None) -> Check:
    """Return the check of an annotation; one that is always unsure where it says what is not known here.

    Args:
        annotation: The evaluated type of a field.
        strict: Whether a list is taken for a list alone, as pydantic's strict mode has it.
        bounds: Bounds that are said beside the annotation.
    """
    try:
        check = _check_of(annotation, strict)
        return _one_after_another([check, _bounded(bounds)]) if bounds else check
    except _NotPlainError:
        return never


def never(_: Any) -> Any:
    """Take no value."""
    raise Unsure


def trusted(function: Callable[..., Any], *values: Any) -> Any:
    """Call a validator. Whatever it objects to, pydantic calls it once more and says what is wrong."""
    try:
        return function(*values)
    except Exception:  # noqa: BLE001 - any error at all
        raise Unsure from None


def _check_of(annotation: Any, strict: bool) -> Check:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    make = _BY_ORIGIN.get(get_origin(annotation))
    if make is not None:
        return make(get_args(annotation), strict)
    if hasattr(annotation, "__declaration__"):
        return _document(annotation)
    if hasattr(annotation, "from_document"):  # such as a target, whose form in documents is a text
        return _calling(annotation.from_document)
    if hasattr(annotation, "__dataclass_fields__"):  # made by us; what others state of one is pydantic's to read
        return _exactly(annotation)
    raise _NotPlainError


def _exactly(kind: type) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise Unsure
        return value

    return check


def _float(value: Any) -> Any:
    if type(value) is int and -_EXACT_UP_TO <= value <= _EXACT_UP_TO:
        return float(value)
    return _exact_float(value)


def _exact_float(value: Any) -> Any:
    if type(value) is not float or not math.isfinite(value):
        raise Unsure
    return value


_NONE = _exactly(type(None))
_SCALARS: dict[Any, Check] = {
    str: _exactly(str),
    int: _exactly(int),
    bool: _exactly(bool),
    float: _float,
    type(None): _NONE,
    Any: lambda value: value,
}


def _annotated(parts: tuple[Any, ...], strict: bool) -> Check:
    """Return the check of a type with marks: what is done before it, last said first; then it; then the others."""
    inner, *all_marks = parts
    if any(type(mark).__module__.startswith("pydantic") for mark in all_marks):
        raise _NotPlainError
    marks = [mark for mark in all_marks if isinstance(mark, Mark)]
    chosen_by = next((mark.kwargs["discriminator"] for mark in marks if "discriminator" in mark.kwargs), None)
    if chosen_by is not None:
        return _chosen_by(chosen_by, get_args(inner))
    said = [(type(mark).__name__, mark) for mark in marks]
    plain = next((mark for word, mark in said if word == "PlainValidator"), None)
    steps = [_calling(mark.args[0]) for word, mark in reversed(said) if word == "BeforeValidator"]
    steps.append(_calling(plain.args[0]) if plain is not None else _check_of(inner, strict))
    for word, mark in said:
        if word == "AfterValidator":
            steps.append(_calling(mark.args[0]))
        elif word in {"StringConstraints", "Field"}:
            steps.append(_bounded(mark.kwargs))
        elif word not in {"BeforeValidator", "PlainValidator", "PlainSerializer", "WithJsonSchema", "Strict"}:
            raise _NotPlainError
    return _one_after_another(steps)


def _one_after_another(steps: list[Check]) -> Check:
    if len(steps) == 1:
        return steps[0]

    def check(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return check


def _calling(function: Callable[[Any], Any]) -> Check:
    return lambda value: trusted(function, value)


def _bounded(said: Mapping[str, Any]) -> Check:
    """Return the check of bounds: of numbers, of how long a text or a list is, of what a text looks like."""
    if said.keys() - _BOUNDS - _FOR_SCHEMAS:
        raise _NotPlainError
    pattern = _compiled(said["pattern"]) if "pattern" in said else None
    shortest, longest = said.get("min_length", 0), said.get("max_length", math.inf)
    has_length = "min_length" in said or "max_length" in said
    numbers = [(compare, said[word]) for word, compare in _COMPARISONS.items() if word in said]

    def check(value: Any) -> Any:
        if type(value) is str and not value.isascii():
            trusted(value.encode)  # no halves of characters
        if has_length and not shortest <= len(value) <= longest:
            raise Unsure
        if pattern is not None and pattern.search(value) is None:
            raise Unsure
        if not all(compare(value, bound) for compare, bound in numbers):
            raise Unsure
        return value

    return check


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}


def _compiled(pattern: str) -> re.Pattern[str]:
    if _DIFFERS_BY_LANGUAGE.search(pattern):
        raise _NotPlainError
    # Python's $ lets the end of a line follow.
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern)


def _literal(words: tuple[Any, ...], _: bool) -> Check:
    known = {(type(word), word) for word in words}

    def check(value: Any) -> Any:
        if not isinstance(value, str | int) or (type(value), value) not in known:
            raise Unsure
        return value

    return check


def _union(parts: tuple[Any, ...], strict: bool) -> Check:
    """Return the check of several types, of which a value must be one exactly."""
    others = [part for part in parts if part is not type(None)]
    if len(others) == 1:
        inner = _check_of(others[0], strict)
        return lambda value: None if value is None else inner(value)
    checks = [_exact_float if part is float else _check_of(part, strict) for part in others]
    if len(others) < len(parts):
        checks.append(_NONE)

    def check(value: Any) -> Any:
        if type(value) is dict:  # which of several documents it is takes a closer look
            raise Unsure
        for one in checks:
            try:
                return one(value)
            except Unsure:
                continue
        raise Unsure

    return check


def _tuple(parts: tuple[Any, ...], strict: bool) -> Check:
    kinds = (tuple,) if strict else (tuple, list)
    if len(parts) != 2 or parts[1] is not Ellipsis:
        raise _NotPlainError
    item = _check_of(parts[0], strict)

    def check(value: Any) -> Any:
        if type(value) not in kinds:
            raise Unsure
        return tuple(map(item, value))

    return check


def _list(parts: tuple[Any, ...], strict: bool) -> Check:
    item = _check_of(parts[0], strict)

    def check(value: Any) -> Any:
        if type(value) is not list:
            raise Unsure
        return list(map(item, value))

    return check


def _mapping(parts: tuple[Any, ...], strict: bool) -> Check:
    key_check, value_check = (_check_of(part, strict) for part in parts)

    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise Unsure
        return {key_check(key): value_check(item) for key, item in value.items()}

    return check


def _document(document: Any) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, document):
            return value
        return document.read_plainly(value)

    return check


def _chosen_by(name: str, documents: tuple[Any, ...]) -> Check:
    """Return the check of several documents that are told apart by the word in one of their fields."""
    checks = {
        word: _document(document)
        for document in documents
        for word in get_args(document.__declaration__.fields[name].evaluated())
    }

    def check(value: Any) -> Any:
        if isinstance(value, documents):
            return value
        word = value.get(name) if type(value) is dict else None
        if type(word) is not str or word not in checks:
            raise Unsure
        return checks[word](value)

    return check


_BY_ORIGIN: dict[Any, Callable[[tuple[Any, ...], bool], Check]] = {
    Annotated: _annotated,
    Literal: _literal,
    Union: _union,
    UnionType: _union,
    tuple: _tuple,
    list: _list,
    dict: _mapping,
    Mapping: _mapping,
}
