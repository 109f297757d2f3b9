"""The single values a registry is made of: ids, links, versions, file names, and how each is checked.

An error is what no reader could use (a link that is no URL, a version that is no version, a file name that leaves its
folder). What is well-formed but strange to this version, such as a link of a scheme it cannot fetch, is a warning.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from stemsep_envs.documents.base import refuse_at
from stemsep_envs.documents.fields import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)
from stemsep_envs.documents.problems import shown
from stemsep_envs.documents.vocabulary import Doubt

FETCHABLE_SCHEMES = ("https", "http", "hf", "s3", "file", "local")

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<rest>.*)", re.IGNORECASE)
_URL_CHARACTERS = re.compile(r"[^\s\x00-\x1f\x7f\"<>\\^`{|}]+")
_RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_UNSAFE_IN_NAME = re.compile(r"[/\\:\x00-\x1f\x7f]")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")


def _known_error(kind: Literal["float_type", "finite_number"]) -> Exception:
    from pydantic_core import PydanticKnownError  # noqa: PLC0415 - see `fields`

    return PydanticKnownError(kind)


def _in_words(words: str) -> Exception:
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 - see `fields`

    return PydanticCustomError("inconsistent", "{words}", {"words": words})


def _number(value: Any) -> int | float:
    """Take a number as it was written: ``2`` stays 2, so that a document read and written again is the same."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _known_error("float_type")
    if not math.isfinite(value):
        raise _known_error("finite_number")
    return value


def _at_least_zero(value: int | float) -> int | float:
    if value < 0:
        raise ValueError(f"must be at least 0, not {value:g}")
    return value


def _scalar(value: Any) -> bool | int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _known_error("finite_number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _in_words("must be a single value, not a list or an object")


def _one_or_many(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _in_words("must be text or a list of texts")


def _link(text: str) -> str:
    match = _URL.fullmatch(text)
    if match is None or _URL_CHARACTERS.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is not a URL such as https://host/path")
    if match["scheme"].lower() == "file":
        if len(match["rest"]) < 2:
            raise ValueError(f"{shown(text)} names no file")
    elif not match["host"].rpartition("@")[2].partition(":")[0]:
        raise ValueError(f"{shown(text)} names no host")
    return text


def _doubtful_link(text: str) -> str | None:
    scheme = text.partition("://")[0].lower()
    if scheme in FETCHABLE_SCHEMES:
        return None
    return f"links of the scheme {shown(scheme)} cannot be fetched (possible: {', '.join(FETCHABLE_SCHEMES)})"


@lru_cache(maxsize=4096)
def _version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion:
        raise ValueError(f"{shown(text)} is not a version (PEP 440), such as 3.10 or 2.4.1") from None
    return text


@lru_cache(maxsize=4096)
def _requirement(text: str) -> str:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{shown(text)} is not a package requirement (PEP 508): {reason}") from None
    return text


def file_name_problem(name: str) -> str | None:
    """Say in words why ``name`` is no plain file name on every platform, or None when it is one."""
    if not name or name in {".", ".."}:
        return "must be a file name"
    if _UNSAFE_IN_NAME.search(name):
        return f"must be a plain file name without folders, colons or control characters, not {shown(name)}"
    if name != name.strip() or name.endswith("."):
        return f"must not begin with a space or end with a space or dot, as {shown(name)} does"
    if _RESERVED_NAMES.fullmatch(name):
        return f"{shown(name)} is reserved on Windows"
    if len(name.encode()) > 255:
        return "must be at most 255 bytes long"
    return None


def _file_name(name: str) -> str:
    problem = file_name_problem(name)
    if problem is not None:
        raise ValueError(problem)
    return name


def _relative_path(text: str) -> str:
    parts = PurePosixPath(text).parts
    if not parts or text.startswith("/") or "\\" in text or ".." in parts or _UNSAFE_IN_NAME.search("".join(parts)):
        raise ValueError(f"must be a path below its folder, with forward slashes, not {shown(text)}")
    return text


def _timestamp(text: str) -> str:
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is not an RFC 3339 time such as 2026-03-06T17:24:56Z")
    return text


def refuse_repeated(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something twice, whatever its letter case, at the second place."""
    first: dict[str, int] = {}
    repeated = []
    for index, value in enumerate(values):
        if first.setdefault(value.casefold(), index) != index:
            repeated.append(((index,), f"{value!r} stands at [{first[value.casefold()]}] already"))
    refuse_at(repeated)
    return values


Number = Annotated[int | float, PlainValidator(_number), WithJsonSchema({"type": "number"})]
"""A finite number, kept as an integer where it was written as one."""

Amount = Annotated[
    int | float,
    PlainValidator(_number),
    AfterValidator(_at_least_zero),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
"""A number that is not negative."""

Flag = StrictBool
Count = Annotated[StrictInt, Field(ge=0)]
Positive = Annotated[StrictInt, Field(ge=1)]
Whole = StrictInt

Text = Annotated[str, StringConstraints(min_length=1)]
"""Text that is not empty."""

Scalar = Annotated[
    bool | int | float | str | None,
    PlainValidator(_scalar),
    WithJsonSchema({"type": ["boolean", "number", "string", "null"]}),
]
"""One JSON value that holds no others."""

TextOrTexts = Annotated[
    str | tuple[str, ...],
    PlainValidator(_one_or_many),
    PlainSerializer(lambda value: value if isinstance(value, str) else list(value)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]

MODEL_ID_PATTERN = "^[a-z0-9][a-z0-9._-]{1,127}$"
ModelId = Annotated[str, StringConstraints(pattern=MODEL_ID_PATTERN)]
RegistryRuntimeId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]

Link = Annotated[
    str,
    AfterValidator(_link),
    Doubt(_doubtful_link),
    WithJsonSchema({"type": "string", "format": "uri", "minLength": 1}),
]
"""A URL of a scheme this program fetches (https, http, hf, s3, file, local); other schemes are kept with a warning."""

VersionNumber = Annotated[str, AfterValidator(_version)]
PackageRequirement = Annotated[str, AfterValidator(_requirement)]
FileName = Annotated[str, AfterValidator(_file_name), WithJsonSchema({"type": "string", "pattern": r"^[^/\\:]+$"})]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
Timestamp = Annotated[str, AfterValidator(_timestamp), WithJsonSchema({"type": "string", "format": "date-time"})]
Date = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    WithJsonSchema({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
