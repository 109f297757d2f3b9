"""The outline of a registry: where each entry stands in the file, and the line of it that a list shows.

Checking ten thousand entries takes seconds; finding one must not. The outline is made by reading the text once without
checking entries, is kept beside other caches, and lets one entry be read and checked alone. This module takes bytes and
gives values; `catalogue` does the reading and writing.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.collector import collection_paused
from stemsep_envs.documents.json_scanner import read_value, scan_array, scan_document, scan_object
from stemsep_envs.documents.listed_model import ListedModel
from stemsep_envs.documents.registry import RegistryHead, parse_registry
from stemsep_envs.documents.registry_values import MODEL_ID_PATTERN

_FORMAT = 1
"""Changes whenever the meaning of a stored outline does; others are ignored."""

_values = attrgetter(*(field.name for field in fields(ListedModel)))
"""What a stored outline holds of a summary, in the order of its fields."""

_BOM = b"\xef\xbb\xbf"
_MODEL_ID = re.compile(MODEL_ID_PATTERN)


class Span(NamedTuple):
    """Where an entry stands: its place in ``models`` and its bytes, from ``start`` up to ``end``."""

    place: int
    start: int
    end: int


@dataclass(frozen=True)
class Outline:
    """A registry's entries by id; the first where several have it.

    Attributes:
        spans: Where each entry stands, in the order of the registry.
        repeated: The indexes of all entries of each id that is used more than once.
        nameless: The indexes of entries without a readable id.
        read_summaries: Gives the summaries of ``spans``, in the same order.
    """

    spans: dict[str, Span]
    repeated: dict[str, tuple[int, ...]]
    nameless: tuple[int, ...]
    read_summaries: Callable[[], tuple[ListedModel, ...]]


def make_outline(data: bytes, *, origin: str) -> Outline:
    """Read a registry's outline from its text.

    Raises:
        InvalidDocumentError: The text is not JSON, or what is around the entries is wrong. Entries themselves are not
            checked, so that a mistake in one does not keep the others from being used.
    """
    try:
        with collection_paused():
            top, lines = _top_level(data)
        validate(top, RegistryHead, origin=origin)
    except (ValueError, RecursionError):
        parse_registry(data, origin=origin)  # refuses it too, and in better words
        raise
    by_id: dict[str, list[tuple[ListedModel, Span]]] = {}
    nameless = []
    for summary, span in lines:
        if summary is None:
            nameless.append(span.place)
        else:
            by_id.setdefault(summary.id, []).append((summary, span))
    summaries = tuple(uses[0][0] for uses in by_id.values())
    return Outline(
        spans={model_id: uses[0][1] for model_id, uses in by_id.items()},
        repeated={model_id: tuple(span.place for _, span in uses) for model_id, uses in by_id.items() if len(uses) > 1},
        nameless=tuple(nameless),
        read_summaries=lambda: summaries,
    )


def store_outline(outline: Outline, *, stamp: tuple[int, ...]) -> bytes:
    """Write an outline, to be believed only of the file that ``stamp`` describes.

    Three lines: a checksum of the others, the spans that every command needs, the summaries that only lists do.
    """
    head = {
        "format": _FORMAT,
        "stamp": stamp,
        "spans": outline.spans,
        "repeated": outline.repeated,
        "nameless": outline.nameless,
    }
    parts = (head, list(map(_values, outline.read_summaries())))
    body = b"\n".join(json.dumps(part, separators=(",", ":")).encode() for part in parts)
    return b"%08x\n%s" % (zlib.crc32(body), body)


def stored_outline(data: bytes, *, stamp: tuple[int, ...]) -> Outline | None:
    """Read what `store_outline` wrote; None when it is damaged, of another format, or of another file."""
    checksum, _, body = data.partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    head_line, _, summaries_line = body.partition(b"\n")
    head = json.loads(head_line)
    if head["format"] != _FORMAT or head["stamp"] != list(stamp):
        return None
    return Outline(
        spans={model_id: Span._make(place) for model_id, place in head["spans"].items()},
        repeated={model_id: tuple(indexes) for model_id, indexes in head["repeated"].items()},
        nameless=tuple(head["nameless"]),
        read_summaries=lambda: tuple(
            ListedModel(*(*texts, tuple(stems))) for *texts, stems in json.loads(summaries_line)
        ),
    )


def _summary(entry: object) -> ListedModel | None:
    """Return what a list shows of an entry, or None when it has no readable id."""
    model_id = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(model_id, str) or _MODEL_ID.fullmatch(model_id) is None:
        return None
    runtime = entry.get("runtime")
    runtime = runtime if isinstance(runtime, dict) else {}
    status = entry.get("status")
    allowed = _texts(runtime.get("allowed"))
    return ListedModel(
        id=model_id,
        name=_text(entry.get("name")),
        architecture=_text(entry.get("architecture")),
        type=_text(entry.get("type")),
        runtime=_text(runtime.get("preferred")) or (allowed[0] if allowed else ""),
        catalog_status=_text(entry.get("catalog_status")),
        readiness=_text(status.get("readiness")) if isinstance(status, dict) else "",
        stems=_texts(entry.get("stems")),
    )


def _text(value: object) -> str:
    """Return text that can be written to any terminal or file: half characters are spelled out."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(_text, value))) if isinstance(value, list) else ()


def _top_level(data: bytes) -> tuple[dict[str, Any], list[tuple[ListedModel | None, Span]]]:
    """Split a registry into the members around its entries, and the entries' summaries with their places in ``data``.

    Raises:
        ValueError, RecursionError: Not JSON, or not of a registry's shape.
    """
    text = data.decode("utf-8-sig")
    top: dict[str, Any] = {}
    elements: list[_Element] = []

    def scan_entry(_: int, start: int) -> int:
        entry, end = read_value(text, start)
        elements.append((_summary(entry), start, end))
        return end

    def scan_member(name: str, start: int) -> int:
        if name in top:
            raise ValueError("a repeated member")
        if name == "models":
            top[name] = []
            return scan_array(text, start, scan_entry)
        top[name], end = read_value(text, start)
        return end

    scan_document(text, lambda start: scan_object(text, start, scan_member))
    return top, _placed(data, text, elements)


_Element: TypeAlias = tuple["ListedModel | None", int, int]
"""The summary of an entry, and where its text starts and ends."""


def _placed(data: bytes, text: str, elements: list[_Element]) -> list[tuple[ListedModel | None, Span]]:
    """Turn places in the text into places in the bytes."""
    before = len(_BOM) if data.startswith(_BOM) else 0
    if len(text) + before == len(data):  # one byte a character
        return [
            (summary, Span(place, start + before, end + before)) for place, (summary, start, end) in enumerate(elements)
        ]
    placed = []
    done = 0
    for place, (summary, start, end) in enumerate(elements):
        first = before + len(text[done:start].encode())
        before, done = first + len(text[start:end].encode()), end
        placed.append((summary, Span(place, first, before)))
    return placed
