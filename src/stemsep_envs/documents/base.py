"""How documents are parsed: once, at the edge, into frozen models, with every problem reported together.

Problems carry the dotted path of the value that is wrong, in the notation ``models[3].runtime.allowed[0]``.
``strict_json`` reads the text, ``problems`` words what is wrong, and this module joins them with the models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar, get_args, get_origin

from stemsep_envs.documents.document_type import BaseDocument, model_of
from stemsep_envs.documents.fields import ConfigDict
from stemsep_envs.documents.problems import MAX_PROBLEMS, dotted_path, shown, worded
from stemsep_envs.documents.strict_json import load_json
from stemsep_envs.errors import InvalidDocumentError, Problem

__all__ = [
    "MAX_PROBLEMS",
    "Document",
    "OpenDocument",
    "dotted_path",
    "load_json",
    "parse_json",
    "plain",
    "problems_of",
    "refuse_at",
    "unknown_fields",
    "validate",
]


class Document(BaseDocument):
    """A frozen document that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")


class OpenDocument(BaseDocument):
    """A frozen document that keeps fields it does not know, so that tomorrow's file survives today's program.

    `unknown_fields` lists what was kept; a class whose further fields are named elsewhere (an engine's own settings)
    says so with ``open_by_design``, and its are not listed.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, ser_json_inf_nan="null")
    open_by_design: ClassVar[bool] = False


ModelT = TypeVar("ModelT", bound=BaseDocument)


def parse_json(data: bytes | str, model: type[ModelT], *, origin: str) -> ModelT:
    """Parse JSON text into ``model``.

    Args:
        data: The text, UTF-8 when bytes; a byte-order mark is allowed.
        model: The document's model.
        origin: What to call the document in messages, usually its path.

    Raises:
        InvalidDocumentError: The text is not JSON, holds what `load_json` refuses, or breaks the model; all problems
            of the stage that fails are listed, except that a syntax error hides what follows it.
    """
    return validate(load_json(data, origin=origin), model, origin=origin)


def validate(value: object, model: type[ModelT], *, origin: str) -> ModelT:
    """Check an already-read value against ``model``; raises `InvalidDocumentError` with every problem."""
    try:
        return model.model_validate(value)
    except ValueError as error:
        raise InvalidDocumentError(origin, problems_of(error)) from None


def validate_in_bulk(value: object, model: type[ModelT], *, origin: str) -> ModelT:
    """Do the same for a value so large that loading pydantic is soon made up for by its speed."""
    try:
        checked: Any = model_of(model).model_validate(value)
    except ValueError as error:
        raise InvalidDocumentError(origin, problems_of(error)) from None
    read: ModelT = checked
    return read


def plain(document: BaseDocument) -> Any:
    """Return a document in plain JSON types as it was read: unknown fields and nulls stay, absent ones stay absent."""
    return document.model_dump(mode="json", exclude_unset=True, by_alias=True)


def problems_of(error: ValueError) -> tuple[Problem, ...]:
    """Turn pydantic's report into problems with dotted paths, in document order; any other error is raised again."""
    from pydantic import ValidationError  # noqa: PLC0415 - loaded already, where it found something

    if not isinstance(error, ValidationError):
        raise error
    details = error.errors(include_url=False, include_context=True, include_input=True)
    return worded(details, lambda item: Problem(dotted_path(item["loc"]), _words(item)))


def refuse_at(problems: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
    """Raise, from inside a validator, one error for each (location below the validated value, words); none, no error.

    A plain ``ValueError`` would blame the whole value; this names the field that contradicts another.
    """
    found = list(problems)
    if not found:
        return
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError  # noqa: PLC0415 - see `fields`

    details = [
        InitErrorDetails(
            type=PydanticCustomError("inconsistent", "{words}", {"words": words}), loc=location, input=None
        )
        for location, words in found
    ]
    raise ValidationError.from_exception_data("inconsistent", details)


def unknown_fields(document: BaseDocument) -> Iterator[str]:
    """Yield the dotted path of every field that ``document`` carries and its model does not know."""
    for location in _unknown_in(document, ()):
        yield dotted_path(location)


def _unknown_in(value: object, location: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, BaseDocument):
        if value.model_extra and not getattr(value, "open_by_design", False):
            yield from ((*location, key) for key in value.model_extra)
        for name, alias in _nesting_fields(type(value)):
            below = getattr(value, name)
            if below:
                yield from _unknown_in(below, (*location, alias))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _unknown_in(item, (*location, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unknown_in(item, (*location, key))


@cache
def _nesting_fields(model: type[BaseDocument]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a model that can hold other models, each with its name in the document."""
    return tuple(
        (name, field.alias or name) for name, field in model.model_fields.items() if _holds_models(field.annotation)
    )


def _holds_models(annotation: Any) -> bool:
    # On Python 3.10 tuple[str, ...] passes for a type.
    if get_origin(annotation) is None and isinstance(annotation, type):
        return issubclass(annotation, BaseDocument)
    return any(_holds_models(part) for part in get_args(annotation))


_PLAIN_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "required, but missing",
    "extra_forbidden": lambda _: "unknown field",
    "string_type": lambda item: f"must be text, not {_kind(item['input'])}",
    "bool_type": lambda item: f"must be true or false, not {_kind(item['input'])}",
    "int_parsing": lambda item: f"must be a whole number, not {shown(item['input'])}",
    "int_from_float": lambda item: f"must be a whole number, not {shown(item['input'])}",
    "float_parsing": lambda item: f"must be a number, not {shown(item['input'])}",
    "bool_parsing": lambda item: f"must be true or false, not {shown(item['input'])}",
    "int_type": lambda item: f"must be a whole number, not {_kind(item['input'])}",
    "float_type": lambda item: f"must be a number, not {_kind(item['input'])}",
    "tuple_type": lambda item: f"must be a list, not {_kind(item['input'])}",
    "list_type": lambda item: f"must be a list, not {_kind(item['input'])}",
    "dict_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "mapping_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "model_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "model_attributes_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "string_pattern_mismatch": lambda item: f"must match {item['ctx']['pattern']}, not {shown(item['input'])}",
    "string_too_short": lambda item: "must not be empty" if not item["input"] else str(item["msg"]),
    "string_too_long": lambda item: f"must be at most {item['ctx']['max_length']} characters long",
    "too_short": lambda item: f"must hold at least {item['ctx']['min_length']}, not {item['ctx']['actual_length']}",
    "too_long": lambda item: f"must hold at most {item['ctx']['max_length']}, not {item['ctx']['actual_length']}",
    "value_error": lambda item: str(item["ctx"]["error"]),
    "inconsistent": lambda item: str(item["ctx"]["words"]),
}


def _words(item: Mapping[str, Any]) -> str:
    phrase = _PLAIN_WORDS.get(item["type"])
    if phrase is not None:
        return phrase(item)
    message = str(item["msg"])
    expected = message.removeprefix("Input should be ")
    value = item["input"]
    if expected != message and isinstance(value, str | int | float):
        return f"must be {expected}, not {shown(value)}"
    return message


def _kind(value: object) -> str:
    names = {
        type(None): "null",
        bool: "true or false",
        str: "text",
        int: "a number",
        float: "a number",
        dict: "an object",
        list: "a list",
    }
    return names.get(type(value), type(value).__name__)
