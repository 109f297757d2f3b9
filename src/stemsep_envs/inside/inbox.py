"""What the host sends: read in a thread, so that `cancel` and the end of the host are noticed during a request."""

from __future__ import annotations

import os
import queue
import threading
from typing import Callable, Iterator, Optional, Set

from .messages import MAX_LINE_BYTES, Id, Message, Outbox, RpcError, parse


class Inbox:
    """Requests in the order in which they came. `abandon` is called, in the reading thread, when the host is gone."""

    def __init__(self, descriptor: int, outbox: Outbox, abandon: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._outbox = outbox
        self._abandon = abandon
        self._requests: queue.Queue[Optional[Message]] = queue.Queue()
        self._lock = threading.Lock()
        self._open: Set[Id] = set()
        self._cancelled: Set[Id] = set()

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self) -> Optional[Message]:
        """The next request, once there is one; None when the host is gone."""
        return self._requests.get()

    def is_cancelled(self, request_id: Id) -> bool:
        """Whether the host has cancelled this request."""
        with self._lock:
            return request_id in self._cancelled

    def finish(self, request_id: Id) -> None:
        """This request is answered."""
        with self._lock:
            self._open.discard(request_id)
            self._cancelled.discard(request_id)

    def _read(self) -> None:
        for line in _lines(self._descriptor):
            if not line.strip():
                continue
            try:
                self._receive(parse(line))
            except RpcError as error:
                self._outbox.refuse(error.request_id, error)
        with self._lock:
            busy = bool(self._open)
        if busy:
            self._abandon()
        self._requests.put(None)

    def _receive(self, message: Message) -> None:
        if message.id is None:
            if message.method == "cancel" and isinstance(message.params, dict):
                self._cancel(message.params.get("id"))
            return
        with self._lock:
            self._open.add(message.id)
        self._requests.put(message)

    def _cancel(self, request_id: object) -> None:
        with self._lock:
            # Only what is open: a late cancel must not linger and hit a later request with the same id.
            if isinstance(request_id, (str, int)) and request_id in self._open:
                self._cancelled.add(request_id)


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines as they come. Of one that is too long only the beginning is kept, enough to be refused for its length."""
    pending = bytearray()
    while True:
        try:
            chunk = os.read(descriptor, 1 << 16)
        except OSError:
            chunk = b""
        if not chunk:
            return
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            _extend(pending, end)
            yield bytes(pending)
            pending.clear()
        _extend(pending, rest)


def _extend(line: bytearray, part: bytes) -> None:
    line += part[: MAX_LINE_BYTES + 1 - len(line)]
