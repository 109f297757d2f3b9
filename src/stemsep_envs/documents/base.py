"""How documents are parsed: once, at the edge, into frozen models, with every problem reported together.

Problems carry the dotted path of the value that is wrong, in the notation ``models[3].runtime.allowed[0]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from stemsep_envs.errors import InvalidDocumentError, Problem

MAX_PROBLEMS = 1000
"""More than this many problems are counted, not listed."""


class Document(BaseModel):
    """A frozen document that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")


class OpenDocument(BaseModel):
    """A frozen document that keeps fields it does not know, so that tomorrow's file survives today's program.

    `unknown_fields` lists what was kept.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, ser_json_inf_nan="null")


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_json(data: bytes | str, model: type[ModelT], *, origin: str) -> ModelT:
    """Parse JSON text into ``model``.

    Args:
        data: The text, UTF-8 when bytes.
        model: The document's model.
        origin: What to call the document in messages, usually its path.

    Raises:
        InvalidDocumentError: The text is not JSON, repeats a key, holds a non-finite number, or breaks the model; all problems
            are listed, except that a syntax error hides what follows it.
    """
    return validate(load_json(data, origin=origin), model, origin=origin)


def validate(value: object, model: type[ModelT], *, origin: str) -> ModelT:
    """Check an already-read value against ``model``; raises `InvalidDocumentError` with every problem."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidDocumentError(origin, problems_of(error)) from None


def load_json(data: bytes | str, *, origin: str) -> Any:
    """Read JSON strictly: UTF-8, no repeated keys, finite numbers, bounded depth.

    Raises:
        InvalidDocumentError: With the line and column of a syntax error, or every repeated key.
    """
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    repeated.append(key)
                seen.add(key)
        return result

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            refuse_constant(text)
        return number

    def refuse_constant(text: str) -> NoReturn:
        raise InvalidDocumentError(origin, (Problem("", f"{text[:40]} is not a finite number"),))

    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=pairs, parse_float=finite, parse_constant=refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(
            origin, (Problem("", f"not UTF-8 text (byte {error.start} cannot be decoded)"),)
        ) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidDocumentError(origin, (Problem("", f"not JSON: {error.msg} ({where})"),)) from None
    except RecursionError:
        raise InvalidDocumentError(origin, (Problem("", "nested too deeply"),)) from None
    except ValueError:  # an integer with thousands of digits
        raise InvalidDocumentError(origin, (Problem("", "holds an absurdly long number"),)) from None
    if repeated:
        problems = tuple(Problem("", f"key {key!r} appears twice in one object") for key in repeated[:MAX_PROBLEMS])
        raise InvalidDocumentError(origin, problems)
    return value


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """Turn pydantic's report into problems with dotted paths, in document order."""
    details = error.errors(include_url=False, include_context=True, include_input=True)
    problems = [Problem(dotted_path(item["loc"]), _words(item)) for item in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        problems.append(Problem("", f"and {len(details) - MAX_PROBLEMS} more"))
    return tuple(problems)


def dotted_path(location: tuple[str | int, ...]) -> str:
    """Write a location as ``models[3].runtime.allowed[0]``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def unknown_fields(document: BaseModel, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every field that ``document`` carries and its model does not know."""
    for key in document.model_extra or {}:
        yield f"{path}.{key}" if path else key
    for name in type(document).model_fields:
        here = f"{path}.{name}" if path else name
        yield from _unknown_in(getattr(document, name), here)


def _unknown_in(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from unknown_fields(value, path)
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _unknown_in(item, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unknown_in(item, f"{path}.{key}")


_PLAIN_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "required, but missing",
    "extra_forbidden": lambda _: "unknown field",
    "string_type": lambda item: f"must be text, not {_kind(item['input'])}",
    "bool_type": lambda item: f"must be true or false, not {_kind(item['input'])}",
    "int_type": lambda item: f"must be a whole number, not {_kind(item['input'])}",
    "float_type": lambda item: f"must be a number, not {_kind(item['input'])}",
    "tuple_type": lambda item: f"must be a list, not {_kind(item['input'])}",
    "list_type": lambda item: f"must be a list, not {_kind(item['input'])}",
    "dict_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "model_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "model_attributes_type": lambda item: f"must be an object, not {_kind(item['input'])}",
    "value_error": lambda item: str(item["ctx"]["error"]),
}


def _words(item: Mapping[str, Any]) -> str:
    phrase = _PLAIN_WORDS.get(item["type"])
    if phrase is not None:
        return phrase(item)
    message = str(item["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    value = item["input"]
    if isinstance(value, str | int | float | bool) and value is not None:
        return f"must be {message}, not {_shown(value)}"
    return str(item["msg"])


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


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
