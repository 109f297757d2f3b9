"""JSON-RPC 2.0 as bytes: parses lines that may be anything, and writes lines that are always valid."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, Callable, Dict, NamedTuple, Optional, Union

from .failures import RequestError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
FAILED = -32000

MAX_LINE_BYTES = 1 << 20

Id = Union[str, int]


class RpcError(Exception):
    """An error reply: JSON-RPC's code, a message for people, and data for programs with at least a `kind`."""

    def __init__(self, code: int, message: str, data: Dict[str, Any], request_id: Optional[Id] = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.request_id = request_id

    @classmethod
    def from_failure(cls, failure: RequestError) -> RpcError:
        """The error reply of a request that failed."""
        data = {"kind": failure.kind, "hint": failure.hint}
        if failure.traceback is not None:
            data["traceback"] = failure.traceback
        return cls(FAILED, failure.message, data)


class Message(NamedTuple):
    """A request, or a notification if `id` is None."""

    id: Optional[Id]
    method: str
    params: Any


def parse(line: bytes) -> Message:
    """The message in `line`. Raises `RpcError` with the code that answers it otherwise."""
    if len(line) > MAX_LINE_BYTES:
        raise _invalid(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    # RecursionError: nested too deep. ValueError also covers bad UTF-8 and numbers with thousands of digits.
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"not JSON: {str(error)[:200]}", {"kind": "parse_error"}) from None
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise _invalid('not an object with "jsonrpc": "2.0"')
    request_id = value.get("id")
    if "id" in value and (isinstance(request_id, bool) or not isinstance(request_id, (str, int))):
        raise _invalid("the id is neither a string nor a whole number")
    method = value.get("method")
    if not isinstance(method, str):
        raise _invalid("the method is not a string", request_id)
    return Message(request_id, method, value.get("params", {}))


def _invalid(message: str, request_id: Optional[Id] = None) -> RpcError:
    return RpcError(INVALID_REQUEST, message, {"kind": "invalid_request"}, request_id)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Outbox:
    """Writes messages to a descriptor, whole lines at a time, from any thread; calls `lost` if nobody reads them."""

    def __init__(self, descriptor: int, lost: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._lost = lost
        self._lock = threading.Lock()

    def reply(self, request_id: Id, result: Dict[str, Any]) -> None:
        """Answer a request. A result that JSON cannot hold is answered as an internal error."""
        try:
            self._send({"id": request_id, "result": result})
        except (TypeError, ValueError, RecursionError) as error:
            message = f"the result is not JSON: {error}"
            self.refuse(request_id, RpcError(INTERNAL_ERROR, message, {"kind": "model_failed"}))

    def refuse(self, request_id: Optional[Id], error: RpcError) -> None:
        """Answer with an error; `request_id` is None where the line did not give one."""
        self._send({"id": request_id, "error": {"code": error.code, "message": error.message, "data": error.data}})

    def notify(self, method: str, params: Dict[str, Any]) -> None:
        """Tell the host something."""
        self._send({"method": method, "params": params})

    def _send(self, message: Dict[str, Any]) -> None:
        # ASCII: a lone surrogate in a message or a path would not survive UTF-8.
        text = json.dumps({"jsonrpc": "2.0", **message}, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
        line = text.encode("ascii") + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"the message has {len(line)} bytes")
        view = memoryview(line)
        with self._lock:
            try:
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                self._lost()
