"""Words a document uses that may grow: known ones are documented in the schema, others are kept and warned about.

A value that tomorrow's registry adds to a list of words must not make today's program refuse the file, so such a field
is plain text to the parser, annotated with the words known now (`Vocabulary`). `unfamiliar_values` finds the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_origin

from stemsep_envs.documents.document_type import BaseDocument
from stemsep_envs.documents.problems import dotted_path, shown
from stemsep_envs.errors import Problem

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

Location: TypeAlias = tuple[str | int, ...]
Finder: TypeAlias = Callable[[Any, Location], Iterator[Problem]]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Put in ``Annotated[str, Vocabulary(...)]``: the words known now, with their meanings (may be "")."""

    words: Mapping[str, str]

    def doubt(self, value: str) -> str | None:
        """Say why a value is unfamiliar, or None when it is known."""
        if value in self.words:
            return None
        return f"{shown(value)} is not known here (known: {', '.join(self.words)}); it is kept as it is"

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the known words, and admit any other text."""
        known = [{"const": word, **({"description": text} if text else {})} for word, text in self.words.items()]
        return {"anyOf": [*known, handler(core_schema)]}


@dataclass(frozen=True, eq=False)
class Doubt:
    """Put in ``Annotated[..., Doubt(f)]``: ``f`` says in words why an allowed value is doubtful, or gives None."""

    doubt: Callable[[Any], str | None]


def unfamiliar_values(document: BaseDocument) -> Iterator[Problem]:
    """Yield a warning for every value in ``document`` that its vocabulary does not hold, with its dotted path."""
    yield from _in_document(document, ())


def _in_document(document: BaseDocument, location: Location) -> Iterator[Problem]:
    for name, alias, find in _finders_of(type(document)):
        value = getattr(document, name)
        if value is not None:
            yield from find(value, (*location, alias))


@cache
def _finders_of(model: type[BaseDocument]) -> tuple[tuple[str, str, Finder], ...]:
    found = []
    for name, field in model.model_fields.items():
        finder = _finder(field.annotation, tuple(field.metadata))
        if finder is not None:
            found.append((name, field.alias or name, finder))
    return tuple(found)


def _finder(annotation: Any, metadata: tuple[Any, ...] = ()) -> Finder | None:
    """Return what looks for doubts in values of an annotation, or None when no value of it can be doubtful."""
    for mark in metadata:
        if isinstance(mark, Vocabulary | Doubt):
            return _at_leaf(mark.doubt)
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return _finder(inner, tuple(marks))
    # On Python 3.10 tuple[str, ...] passes for a type.
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseDocument):
        return _in_document if _finders_of(annotation) else None
    finders = [finder for finder in map(_finder, get_args(annotation)) if finder is not None]
    if not finders:
        return None
    if isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation), tuple | list | Mapping):
        return _in_each(finders[-1])
    return finders[0]  # X | None


def _at_leaf(doubt: Callable[[Any], str | None]) -> Finder:
    def find(value: Any, location: Location) -> Iterator[Problem]:
        words = doubt(value)
        if words is not None:
            yield Problem(dotted_path(location), words)

    return find


def _in_each(find: Finder) -> Finder:
    def find_all(values: Any, location: Location) -> Iterator[Problem]:
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for place, item in items:
            if item is not None:
                yield from find(item, (*location, place))

    return find_all
