"""A file server on 127.0.0.1 that can behave in every bad way a server on the way to a file can.

Each path has a behaviour: a function that is given the request and answers it, down to single bytes on the socket.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One request and the means to answer it."""

    path: str
    headers: Mapping[str, str]
    handler: BaseHTTPRequestHandler
    closing: threading.Event

    def begin(self, status: int, headers: Mapping[str, str | int]) -> None:
        self.handler.send_response_only(status)
        for name, value in headers.items():
            self.handler.send_header(name, str(value))
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def stall(self) -> None:
        """Send nothing more until the server ends or the other side has gone."""
        connection = self.handler.connection
        connection.settimeout(0.02)
        while not self.closing.is_set():
            try:
                if not connection.recv(1):
                    return
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError:
                return

    def cut(self) -> None:
        """Cut the connection without a good-bye."""
        with suppress(OSError):
            self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with suppress(OSError):
            self.handler.connection.shutdown(socket.SHUT_RDWR)

    @property
    def first_byte(self) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(match[1]) if match else None


@dataclass
class FileServer:
    """A running server: give it files and behaviours, and look at what was asked of it."""

    base: str
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[Exchange] = field(default_factory=list)

    def url(self, path: str) -> str:
        return self.base + path

    def on(self, path: str, behaviour: Behaviour) -> str:
        """Let a path behave so; return its address."""
        self.behaviours[path] = behaviour
        return self.url(path)

    def serve(self, path: str, data: bytes, **options: object) -> str:
        """Serve a file as a good server does."""
        return self.on(path, good(data, **options))  # type: ignore[arg-type]

    def asked_for(self, path: str) -> list[Exchange]:
        return [exchange for exchange in self.asked if exchange.path == path]


def good(
    data: bytes,
    *,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
    ranges: bool = True,
    stop_after: int | None = None,
    times: int = 1,
    then: str = "cut",
    pace: float = 0.0,
) -> Behaviour:
    """Serve a file with ranges and a tag. ``stop_after`` bytes it is cut (or stalls), the first ``times`` times."""
    tag = etag or f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    left = [times]

    def behave(exchange: Exchange) -> None:
        first = exchange.first_byte if ranges else None
        condition = exchange.headers.get("if-range")
        if condition is not None and condition != tag:
            first = None
        if first is not None and first >= len(data):
            exchange.begin(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": 0})
            return
        body = data[first or 0 :]
        facts: dict[str, str | int] = {"Content-Length": len(body), "ETag": tag, **(headers or {})}
        if first is not None:
            facts["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        exchange.begin(200 if first is None else 206, facts)
        if stop_after is not None and left[0] > 0:
            left[0] -= 1
            exchange.send(body[:stop_after])
            exchange.cut() if then == "cut" else exchange.stall()
            return
        if not pace:
            exchange.send(body)
            return
        for start in range(0, len(body), 4096):
            exchange.send(body[start : start + 4096])
            time.sleep(pace)

    return behave


def answers(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with a status and a body; underscores in names of headers stand for hyphens."""

    def behave(exchange: Exchange) -> None:
        facts = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.begin(status, {"Content-Length": len(body), **facts})
        exchange.send(body)

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave each way once, in order; the last for ever."""
    left = list(behaviours)

    def behave(exchange: Exchange) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return behave


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[FileServer]:
    """Run a server for the block, with the certificate of ``tls`` where one is given."""
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            exchange = Exchange(path, headers, self, closing)
            server.asked.append(exchange)
            self.close_connection = True
            with suppress(OSError):
                server.behaviours.get(path, answers(404))(exchange)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, object]:
            accepted, address = super().get_request()
            if tls is not None:
                accepted = tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            return accepted, address

        def handle_error(self, *_: object) -> None:
            pass

    listening = Server(("127.0.0.1", 0), Handler)
    host = "localhost" if tls is not None else "127.0.0.1"
    server = FileServer(f"{'https' if tls else 'http'}://{host}:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        closing.set()
        listening.shutdown()
        listening.server_close()
        thread.join()
