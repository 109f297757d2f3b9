"""One request to a web server, held to what is decent, and endable from another thread at any moment.

Redirects are followed here, since not every one may be: never from https to http, never to a scheme that is none of
the web's, and never with the password or token that was meant for the first host. Certificates are those that the
system trusts, or those of the bundle that ``SSL_CERT_FILE`` names. Proxies are those of the environment or the system.

urllib3 is loaded when the first request is made: it costs more than most commands take.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from stemsep_envs._version import __version__
from stemsep_envs.host.redaction import redact

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

MAX_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CERTIFICATE_HINT = "behind a company's proxy, name its certificates with SSL_CERT_FILE"


class WebError(Exception):
    """Why a request came to nothing.

    Args:
        code: A stable word.
        message: What happened, as the end of a sentence that names the address.
        hint: What may help.
        again: Whether the same request may succeed later.
        wait_seconds: How long the server asks to wait before that.
        reached: Whether the server said or sent anything; one that does not is given up sooner.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        again: bool = False,
        wait_seconds: float | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint
        self.again, self.wait_seconds, self.reached = again, wait_seconds, reached


@dataclass(frozen=True)
class WebRequest:
    """What to ask for. ``private_headers`` (tokens) go to the host that is named here and to no other."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    private_headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Reply:
    """An answer whose body has yet to be read.

    Attributes:
        status: Of the last answer.
        headers: Of the last answer, by any letter case.
        first_headers: Of the first answer, before any redirect: what a hub says of a file that others deliver.
        url: Where it came from in the end.
    """

    status: int
    headers: Mapping[str, str]
    first_headers: Mapping[str, str]
    url: str
    response: BaseHTTPResponse

    def read(self, most_bytes: int) -> bytes:
        """Return some of the body, as soon as there is any; empty at its end.

        Raises:
            WebError: The connection broke, or nothing came for too long.
        """
        with _explained():
            return self.response.read1(most_bytes, decode_content=False)


class Watch:
    """The connections of one transfer, so that another thread can end them, whatever is being waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._ended_because: str | None = None

    @property
    def ended_because(self) -> str | None:
        """Why the connections were ended; None while they were not."""
        return self._ended_because

    def add(self, made: socket.socket) -> None:
        """Watch a new connection. A second handle is kept: the first changes hands when encryption begins."""
        with self._lock:
            if self._ended_because is not None:
                made.close()
                raise OSError(f"no longer wanted: {self._ended_because}")
            self._sockets.append(made.dup())

    def end(self, because: str) -> None:
        """End all connections; whoever waits for one gets an error."""
        with self._lock:
            self._ended_because = because
            for watched in self._sockets:
                with suppress(OSError):
                    watched.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            for watched in self._sockets:
                watched.close()
            self._sockets.clear()


@contextmanager
def opened(request: WebRequest, watch: Watch, *, timeout_seconds: float) -> Iterator[Reply]:
    """Ask, follow decent redirects, and yield the answer, whatever its status.

    Args:
        request: What to ask for.
        watch: Gets every connection.
        timeout_seconds: The longest that nothing may come.

    Raises:
        WebError: No answer, or a redirect that is not followed.
    """
    request = _with_password(request)
    url, first, hops = request.url, None, 0
    try:
        while True:
            private = request.private_headers if _origin(url) == _origin(request.url) else {}
            headers = {"User-Agent": f"stemsep-envs/{__version__}", **request.headers, **private}
            with _asked(url, headers, watch, timeout_seconds) as response:
                first = response.headers if first is None else first
                location = response.headers.get("location")
                if response.status not in _REDIRECTS or location is None:
                    yield Reply(response.status, response.headers, first, url, response)
                    return
            hops += 1
            if hops > MAX_REDIRECTS:
                raise WebError("download_failed", f"was redirected more than {MAX_REDIRECTS} times")
            url = _redirected(url, location)
    finally:
        watch.close()


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads."""
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme.lower()
        host, _ = urlsplit(target).hostname, urlsplit(target).port  # which is looked at only when it is asked for
    except ValueError:
        target, scheme, host = location, "", None
    shown = redact(target[:200])
    shown = shown if shown.isprintable() else ascii(shown)[1:-1]
    if scheme not in {"http", "https"} or not host:
        raise WebError("download_refused", f"redirects to {shown}, which is not a web address")
    if scheme == "http" and urlsplit(url).scheme.lower() == "https":
        hint = "over http the file could be changed on the way; ask its publisher for an https address"
        raise WebError("download_refused", f"redirects from https to {shown}", hint=hint)
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname, parts.port


def _with_password(request: WebRequest) -> WebRequest:
    """Take name and password out of an address and say them as a header."""
    try:
        parts, _ = urlsplit(request.url), _origin(request.url)
    except ValueError:
        raise WebError("download_failed", "has an address that cannot be used") from None
    if parts.username is None:
        return request
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    private = {"Authorization": f"Basic {b64encode(pair).decode('ascii')}", **request.private_headers}
    return WebRequest(url, request.headers, private)


@contextmanager
def _asked(url: str, headers: Mapping[str, str], watch: Watch, timeout_seconds: float) -> Iterator[BaseHTTPResponse]:
    import urllib3  # noqa: PLC0415 - see the module

    with _manager(url, watch) as manager:
        with _explained():
            response = manager.urlopen(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=min(30.0, timeout_seconds), read=timeout_seconds),
            )
        try:
            yield response
        finally:
            response.close()


@contextmanager
def _manager(url: str, watch: Watch) -> Iterator[PoolManager]:
    """Yield what makes connections, through the proxy that the environment names for this address."""
    import urllib3  # noqa: PLC0415

    proxy = _proxy_of(url)
    context = _tls()
    if proxy is None:
        manager = urllib3.PoolManager(ssl_context=context)
    elif proxy.startswith("socks"):
        manager = _socks_manager(proxy, context)
    else:
        parts = urlsplit(proxy)
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username is not None else None
        headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        manager = urllib3.ProxyManager(bare, proxy_headers=headers, ssl_context=context, proxy_ssl_context=context)
    if proxy is None or not proxy.startswith("socks"):
        manager.pool_classes_by_scheme = _watched_pools(watch)
    try:
        yield manager
    finally:
        manager.clear()


def _socks_manager(proxy: str, context: ssl.SSLContext) -> PoolManager:
    try:
        from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415
    except ImportError:
        hint = "install PySocks beside stemsep-envs, or name an http proxy"
        raise WebError("download_failed", "needs a SOCKS proxy, for which PySocks is missing", hint=hint) from None
    return SOCKSProxyManager(proxy, ssl_context=context)


def _watched_pools(watch: Watch) -> dict[str, Any]:
    from urllib3.connection import HTTPConnection, HTTPSConnection  # noqa: PLC0415
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool  # noqa: PLC0415

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            watch.add(made)
            return made

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            watch.add(made)
            return made

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _proxy_of(url: str) -> str | None:
    """Return the proxy for an address, from the environment or the system, or None."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme.lower()) or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@cache
def _tls() -> ssl.SSLContext:
    for name in _BUNDLE_VARIABLES:
        path = os.environ.get(name)
        if path:
            try:
                folder = os.path.isdir(path)  # noqa: PTH112 - also of what is no path
                return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
            except (OSError, ssl.SSLError) as error:
                raise WebError("download_failed", f"cannot be checked: {name}={path}: {error}") from None
    import truststore  # noqa: PLC0415

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the libraries raise into words."""
    from http.client import HTTPException  # noqa: PLC0415

    from urllib3 import exceptions as raised  # noqa: PLC0415

    try:
        yield
    except raised.NameResolutionError:
        words = "has a host whose name cannot be resolved"
        raise WebError("download_failed", words, again=True, reached=False) from None
    except raised.NewConnectionError as error:
        raise WebError(
            "download_failed", f"cannot be connected to: {_innermost(error)}", again=True, reached=False
        ) from None
    except (raised.ConnectTimeoutError, raised.ReadTimeoutError, TimeoutError):
        raise WebError("download_stalled", "sent nothing for too long", again=True) from None
    except (raised.SSLError, ssl.SSLError) as error:
        raise _certificate_error(error) from None
    except raised.ProxyError as error:
        words = redact(f"could not be reached through the proxy: {_innermost(error)}")
        raise WebError("download_failed", words, again=True) from None
    except (raised.LocationParseError, UnicodeError):
        raise WebError("download_failed", "has an address that cannot be used") from None
    except (raised.HTTPError, HTTPException, OSError) as error:
        raise WebError("download_failed", f"broke off: {_innermost(error)}", again=True) from None


def _certificate_error(error: Exception) -> WebError:
    words = _innermost(error)
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in _chain(error)):
        return WebError("download_untrusted", f"has a certificate that is not trusted: {words}", hint=_CERTIFICATE_HINT)
    return WebError("download_failed", f"broke off during the TLS handshake: {words}", again=True)


def _innermost(error: BaseException) -> str:
    """Return the words of the error at the bottom: the libraries wrap it in others."""
    return _described(_chain(error)[-1])


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and those that it wraps, the innermost last."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        wrapped = [item for item in following.args if isinstance(item, BaseException)]
        following = following.__cause__ or (wrapped[0] if wrapped else None)
    return found


def _described(error: BaseException) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(str(words)).splitlines()[0][:200]
