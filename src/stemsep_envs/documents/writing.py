"""How documents are written as JSON text, whatever names the file system came up with."""

from __future__ import annotations

import json
from typing import Any

from stemsep_envs.documents.document_type import BaseDocument
from stemsep_envs.documents.terminal import escaped_in_json


def json_text(document: BaseDocument, *, indent: int | None = 2, without_nulls: bool = False) -> str:
    r"""Return a document as JSON text that steers no terminal it is shown on: what would is written as escapes.

    A path is bytes on most systems, and need not be UTF-8; JSON must be. What of a name is not is written as Python
    spells it: ``caf\udce9.wav`` for the byte E9.

    Args:
        document: The document.
        indent: Spaces of each level; None for a single line.
        without_nulls: Leave out those of the document's own fields that are null, but none of what they hold.
    """
    nulls = {name for name, value in document if without_nulls and value is None}
    try:
        return escaped_in_json(document.model_dump_json(indent=indent, exclude=nulls))
    except ValueError as error:
        if type(error).__name__ != "PydanticSerializationError":
            raise
        value = _encodable(document.model_dump(mode="json", exclude=nulls))
        separators = (",", ":") if indent is None else (",", ": ")
        return escaped_in_json(
            json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, separators=separators)
        )


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value
