"""Encryption, certificates and proxies of a web request."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme
import urllib3
from tests.programs.file_server import Exchange, FileServer, answers, running
from tests.unit.host.test_downloads import BRISK, DATA, HASTY, KNOWN, SHA, fetch, refused, source

from stemsep_envs.host import web


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[FileServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with running(context) as server:
        yield server


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    authority.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "company.pem"))
    web._tls.cache_clear()
    yield
    web._tls.cache_clear()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "x.part"


def test_a_certificate_that_nobody_vouches_for_is_refused(
    secure: FileServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    web._tls.cache_clear()
    error = refused(part, source(secure.serve("/x", DATA)))
    web._tls.cache_clear()
    assert (error.code, error.again) == ("download_untrusted", False)
    assert "SSL_CERT_FILE" in (error.hint or "")


@pytest.mark.usefixtures("trusted")
def test_a_companys_certificates_are_honoured(secure: FileServer, part: Path) -> None:
    assert fetch(part, source(secure.serve("/x", DATA, stop_after=1000))).sha256 == SHA
    assert secure.asked[-1].first_byte is not None
    wrong_name = secure.url("/x").replace("localhost", "127.0.0.1")
    assert refused(part, source(wrong_name)).code == "download_untrusted"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ssl.SSLCertVerificationError(1, "said in any words"), "download_untrusted"),
        (ssl.SSLError(1, "tlsv13 alert certificate required"), "download_failed"),
    ],
)
def test_distrust_is_told_by_the_kind_of_error(error: ssl.SSLError, code: str) -> None:
    assert web._certificate_error(urllib3.exceptions.SSLError(error)).code == code


@pytest.mark.usefixtures("trusted")
def test_encryption_is_not_given_up_on_the_way(secure: FileServer, part: Path) -> None:
    with running() as plain:
        target = plain.serve("/x", DATA)
        error = refused(part, source(secure.on("/x", answers(302, Location=target))))
        assert error.code == "download_refused"
        assert plain.asked == []
        back = plain.on("/back", answers(302, Location=secure.serve("/y", DATA)))
        assert fetch(part, source(back)).sha256 == SHA


@pytest.mark.usefixtures("trusted")
def test_a_stall_within_encryption_is_ended(secure: FileServer, part: Path) -> None:
    hasty = replace(HASTY, attempts=3)
    assert refused(part, source(secure.on("/x", Exchange.stall)), KNOWN, hasty).code == "download_stalled"
    wanted = source(secure.serve("/y", DATA, stop_after=1000, then="stall", times=9, ranges=False))
    assert refused(part, wanted, KNOWN, hasty).code == "download_stalled"


def test_bundles_that_cannot_be_read_are_named(part: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    web._tls.cache_clear()
    assert "gone.pem" in refused(part, source("https://localhost:1/x")).message
    web._tls.cache_clear()


def test_requests_use_the_proxy_of_the_environment(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running() as proxy, running() as target:
        seen = []

        def forward(exchange: Exchange) -> None:
            seen.append((exchange.handler.path, exchange.headers.get("proxy-authorization")))
            exchange.begin(200, {"Content-Length": len(DATA)})
            exchange.send(DATA)

        url = target.url("/x")
        proxy.on(url, forward)
        monkeypatch.setenv("http_proxy", proxy.base.replace("//", "//me:secret@"))
        assert fetch(part, source(url)).sha256 == SHA
        assert seen == [(url, "Basic bWU6c2VjcmV0")]
        assert target.asked == []
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        target.serve("/x", DATA)
        part.unlink()
        assert fetch(part, source(url)).sha256 == SHA
        assert len(target.asked) == 1
        monkeypatch.delenv("no_proxy")
    error = refused(part, source(url.replace("/x", "/y")))
    assert "secret" not in error.message


@pytest.mark.usefixtures("trusted")
def test_encrypted_requests_tunnel_through_the_proxy(
    secure: FileServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with tunnel() as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
        assert fetch(part, source(secure.serve("/x", DATA))).sha256 == SHA
        assert proxy.asked == [(secure.base.removeprefix("https://"), "basic bwu6c2vjcmv0")]
        proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        error = refused(part, source(secure.serve("/y", DATA)))
        assert "407" in error.message
        assert "secret" not in error.message
        proxy.answer = None
        hasty = replace(HASTY, attempts=3)
        assert refused(part, source(secure.serve("/y", DATA)), KNOWN, hasty).code == "download_stalled"


@dataclass
class Tunnel:
    """A proxy for encrypted requests; ``answer`` None lets whoever asks wait."""

    port: int
    answer: bytes | None = b"HTTP/1.1 200 Connection established\r\n\r\n"
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def tunnel() -> Iterator[Tunnel]:
    closing = threading.Event()

    def pump(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked = self.rfile.readline().split()
            headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(self.rfile.readline, b"\r\n"))
            made.asked.append((asked[1].decode(), headers.get("proxy-authorization")))
            if made.answer is None:
                closing.wait(30)
                return
            self.wfile.write(made.answer)
            if b" 200 " in made.answer:
                host, _, port = asked[1].decode().partition(":")
                with socket.create_connection((host, int(port))) as target:
                    back = threading.Thread(target=pump, args=(target, self.connection), daemon=True)
                    back.start()
                    pump(self.connection, target)
                    back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        made = Tunnel(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            closing.set()
            server.shutdown()
            thread.join()


def test_a_watch_that_ended_takes_no_connection() -> None:
    watch = web.Watch()
    watch.end("no longer wanted")
    with running() as server:
        asked = web.opened(web.WebRequest(server.url("/x")), watch, timeout_seconds=BRISK.stall_seconds)
        with pytest.raises(web.WebError):
            asked.__enter__()
        assert server.asked == []
