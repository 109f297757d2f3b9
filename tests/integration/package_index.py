"""Package indexes on loopback: tiny wheels and sdists, served as PEP 503 says, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_EPOCH = (2026, 1, 1, 0, 0, 0)


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    requires: Sequence[str] = (),
    *,
    tag: str = "py3-none-any",
    code: str = "",
    script: str | None = None,
    pth: str | None = None,
    data: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel with one module; equal arguments give equal bytes."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    contents = {
        f"{module}/__init__.py": f'__version__ = "{version}"\n{code}',
        f"{info}/METADATA": head + "".join(f"Requires-Dist: {line}\n" for line in requires),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if script is not None:
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {module}:main\n"
    if pth is not None:
        contents[f"{module}.pth"] = pth
    for inner, text in (data or {}).items():
        contents[f"{module}-{version}.data/{inner}"] = text
    rows = "".join(f"{path},{_record_hash(text)},{len(text)}\n" for path, text in contents.items())
    contents[f"{info}/RECORD"] = f"{rows}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in contents.items():
            archive.writestr(zipfile.ZipInfo(inner, _EPOCH), text)
    return path


def make_sdist(
    folder: Path,
    name: str,
    version: str,
    requires: Sequence[str] = (),
    *,
    code: str = "",
    ending: str = "",
    build_requires: Sequence[str] = (),
    metadata_version: str = "2.1",
) -> Path:
    """Write a source distribution whose backend lies inside.

    Args:
        folder: Where to.
        name: Its distribution.
        version: Its version.
        requires: What it needs; told by its build alone where the version of its metadata is older than 2.2.
        code: Runs whenever its backend is imported.
        ending: Runs in `build_wheel` before its end, with ``path`` as the wheel that was made and ``folder``.
        build_requires: What its build needs, besides nothing.
        metadata_version: Of its metadata.
    """
    module = name.replace("-", "_")
    head = f"Metadata-Version: {metadata_version}\nName: {name}\nVersion: {version}\n"
    metadata = head + "".join(f"Requires-Dist: {line}\n" for line in requires)
    backend = code + _BACKEND.format(
        module=module, version=version, metadata=metadata, ending=textwrap.indent(ending, "    ")
    )
    root = f"{module}-{version}"
    contents = {
        f"{root}/PKG-INFO": metadata,
        f"{root}/pyproject.toml": f"[build-system]\nrequires = {json.dumps(build_requires)}\n"
        'build-backend = "backend"\nbackend-path = ["."]\n',
        f"{root}/backend.py": backend,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{root}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for inner, text in contents.items():
            member = tarfile.TarInfo(inner)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


_BACKEND = '''
import os, zipfile
INFO = "{module}-{version}.dist-info"
METADATA = """{metadata}"""
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "{module}-{version}-py3-none-any.whl"
    path = os.path.join(folder, name)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("{module}.py", "built_from_source = True\\n")
        archive.writestr(INFO + "/METADATA", METADATA)
        archive.writestr(INFO + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        names = ["{module}.py", INFO + "/METADATA", INFO + "/WHEEL", INFO + "/RECORD"]
        archive.writestr(INFO + "/RECORD", "".join(item + ",,\\n" for item in names))
{ending}
    return name
'''


def _record_hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Server:
    """A running server.

    Attributes:
        root: Below it ``<index>/<project>/`` folders of files.
        url: Its address; an index is ``url/<index>``.
        asked: Every path that was asked for.
        broken: Indexes that answer with an error.
        delay_seconds: How long every answer takes to begin.
        lying: Files that are served with other content than their page promises.
        login: ``name:password`` without which nothing is served; none is needed when empty.
    """

    root: Path
    url: str
    asked: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    delay_seconds: float = 0.0
    lying: set[str] = field(default_factory=set)
    login: str = ""


@contextmanager
def served(root: Path) -> Iterator[Server]:
    """Serve the indexes below a folder until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(self.path)
            time.sleep(server.delay_seconds)
            status, kind, body = _answer(server, self.path)
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            if server.login and base64.b64decode(given).decode() != server.login:
                status, kind, body = 401, "text/plain", b"who are you"
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the base class calls it so

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(root, f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _answer(server: Server, path: str) -> tuple[int, str, bytes]:
    from urllib.parse import unquote

    parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
    if parts[0] in server.broken:
        return 500, "text/plain", b"out of order"
    place = server.root.joinpath(*parts)
    if place.is_dir() and len(parts) == 2:
        links = "".join(
            f'<a href="{item.name}#sha256={hashlib.sha256(item.read_bytes()).hexdigest()}">{item.name}</a>\n'
            for item in sorted(place.iterdir())
        )
        return 200, "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
    if place.is_file():
        data = place.read_bytes()
        return 200, "application/octet-stream", data + b"\0" if place.name in server.lying else data
    return 404, "text/plain", b"not here"
