"""A worker's lines, parsed as hostile input: bounded, strictly typed, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from stemsep_envs.documents.base import load_json, validate
from stemsep_envs.documents.document_type import BaseDocument
from stemsep_envs.documents.protocol import MAX_LINE_BYTES, MAX_LINE_VALUES, Incoming
from stemsep_envs.errors import InvalidDocumentError

ReplyT = TypeVar("ReplyT", bound=BaseDocument)


class ProtocolViolation(Exception):  # noqa: N818 - names what happened; the session turns it into the user's error
    """The worker said something that is not the protocol."""


def parse_line(line: bytes) -> Incoming:
    """Read one line from a worker.

    Raises:
        ProtocolViolation: Too long, not JSON, or not a JSON-RPC response or notification.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolViolation(f"a line of more than {MAX_LINE_BYTES} bytes")
    if not line.endswith(b"\n"):
        raise ProtocolViolation("a line cut short")
    try:
        message = parse_reply(load_json(line, origin="line", max_values=MAX_LINE_VALUES), Incoming)
    except InvalidDocumentError as error:
        raise ProtocolViolation("; ".join(map(str, error.problems[:3]))) from None
    is_response = message.id is not None and message.method is None
    is_notification = message.id is None and message.method is not None
    if not (is_response or is_notification):
        # A response to a line of ours that it could not read carries a null id; we send none such.
        raise ProtocolViolation("neither a response nor a notification")
    if is_response and (message.result is None) == (message.error is None):
        raise ProtocolViolation("a response needs either a result or an error")
    return message


def parse_reply(value: object, model: type[ReplyT]) -> ReplyT:
    """Check a result or the params of a notification.

    Raises:
        ProtocolViolation: It is not what the protocol promises.
    """
    try:
        return validate(value, model, origin=model.__name__)
    except InvalidDocumentError as error:
        raise ProtocolViolation("; ".join(map(str, error.problems[:3]))) from None


def request_line(request_id: int, method: str, params: BaseDocument | None) -> bytes:
    """Write a request."""
    return _line({"jsonrpc": "2.0", "id": request_id, "method": method, "params": _plain(params)})


def notification_line(method: str, params: BaseDocument) -> bytes:
    """Write a notification."""
    return _line({"jsonrpc": "2.0", "method": method, "params": _plain(params)})


def _plain(params: BaseDocument | None) -> Mapping[str, Any]:
    return {} if params is None else params.model_dump(mode="json")


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"
