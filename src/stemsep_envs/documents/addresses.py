"""Addresses of artifacts: what they name, whether they can be a file at all, and how they are shown. No I/O.

    https://host/path                            http://host/path
    hf://owner/name@revision/path/in/repository  hf://datasets/owner/name@revision/path
    s3://bucket/key                              file:///absolute/path
    local://path/in/the/model/store

A revision is a branch, a tag or, best, a commit: 40 hexadecimal digits, which name the same bytes for ever. A slash in
a revision is written ``%2F``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from stemsep_envs.documents.canonical import digest_of_bytes

Scheme = Literal["https", "http", "hf", "s3", "file", "local"]

HUB = "https://huggingface.co"
"""Where hf:// leads unless HF_ENDPOINT names a mirror."""

HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})

_SCHEMES: tuple[Scheme, ...] = ("https", "http", "hf", "s3", "file", "local")
_HUB_KINDS = ("datasets", "spaces")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PAGES_ABOUT_FILES = "blob"
_PAGES_ABOUT_FOLDERS = "tree"


class AddressError(ValueError):
    """An address that names no file; the words say why and what to write instead."""


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the Hugging Face hub; ``kind`` is empty for models, else ``datasets`` or ``spaces``."""

    kind: str
    owner: str
    name: str
    revision: str
    path: str

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    def resolve_url(self, endpoint: str) -> str:
        """Return the https address that the hub, or a mirror of it, gives the file under."""
        repository = "/".join(filter(None, (self.kind, self.owner, self.name)))
        revision = quote(self.revision, safe="")
        return f"{endpoint.rstrip('/')}/{repository}/resolve/{revision}/{quote(self.path)}"


@dataclass(frozen=True)
class Address:
    """A parsed address.

    Attributes:
        text: As it was written.
        scheme: In lower case.
        host: Host of https and http addresses, bucket of s3 addresses; else empty.
        path: What is named there: a key, a path in the model store, an absolute path; for https and http as written.
        hub: The hub's file, for hf addresses and for the hub's own https addresses of that form.
    """

    text: str
    scheme: Scheme
    host: str
    path: str
    hub: HubFile | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it takes the network to reach."""
        return self.scheme not in {"file", "local"}

    @property
    def key(self) -> str:
        """The digest that the index knows the address by. The same file of the hub has one, however it is written."""
        return digest_of_bytes(canonical_address(self).encode("utf-8", "surrogateescape"))


def parse_address(text: str) -> Address:
    """Parse an address.

    Raises:
        AddressError: It is none, or one that cannot name a file.
    """
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port  # raises when it is no number
    except ValueError as error:
        raise AddressError(f"{text!r} is no address: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES or "://" not in text:
        raise AddressError(f"{text!r} is no address of a kind that can be fetched ({', '.join(_SCHEMES)})")
    if any(ord(character) < 33 or ord(character) == 127 for character in text):
        raise AddressError(f"{text!r} holds spaces or control characters")
    if scheme in {"https", "http"}:
        return _web_address(text, scheme, host, parts.path, parts.query)
    if scheme == "hf":
        return _hub_address(text, text.partition("://")[2])
    if parts.query or parts.fragment:
        raise AddressError(f"{text!r}: {scheme} addresses have no ? or # part")
    if scheme == "s3":
        return _bucket_address(text, parts.netloc, unquote(parts.path.lstrip("/")))
    if scheme == "local":
        return Address(text, "local", "", _store_path(text, unquote(text.partition("://")[2])))
    return _file_address(text, host, unquote(parts.path))


def canonical_address(address: Address) -> str:
    """Return the one spelling of an address: the hub's https form becomes hf, hosts are in lower case, no passwords."""
    if address.hub is not None:
        file = address.hub
        repository = "/".join(filter(None, (file.kind, file.owner, file.name)))
        return f"hf://{repository}@{quote(file.revision, safe='')}/{quote(file.path)}"
    if address.scheme in {"file", "local"}:
        return f"{address.scheme}://{address.path}"
    place, slash, path = address.text.partition("://")[2].partition("#")[0].partition("/")
    return f"{address.scheme}://{place.rpartition('@')[2].lower()}{slash}{path}"


def page_problem(address: Address) -> str | None:
    """Say why an address names a web page and no file, as far as the address tells; None when it may be a file."""
    if address.scheme not in {"https", "http"} or address.hub is not None:
        return None
    parts = [part for part in address.path.split("/") if part]
    if "?" not in address.text and (not parts or address.path.endswith("/")):
        return "it names a folder, not a file in it" if parts else "it names a site's front page"
    if address.host in HUB_HOSTS:
        return _hub_page_problem(parts)
    if address.host in {"github.com", "www.github.com"}:
        return _git_page_problem(parts)
    if address.host == "drive.google.com" and (parts[:2] == ["drive", "folders"] or parts[-1:] in (["view"], ["edit"])):
        return "it names a page of the drive; share the file by a link that downloads it"
    return None


def _hub_page_problem(parts: Sequence[str]) -> str | None:
    inside = parts[1:] if parts[0] in _HUB_KINDS else parts
    if inside[2:3] == [_PAGES_ABOUT_FILES]:
        return "it names the hub's page about a file; write /resolve/ in place of /blob/"
    if inside[2:3] == [_PAGES_ABOUT_FOLDERS]:
        return "it names a folder of a repository, and no file in it"
    return "it names a repository of the hub and no file in it" if len(inside) <= 2 else None


def _git_page_problem(parts: Sequence[str]) -> str | None:
    if parts[2:3] == [_PAGES_ABOUT_FILES]:
        return "it names the page about a file; write /raw/ in place of /blob/"
    if parts[2:3] == [_PAGES_ABOUT_FOLDERS]:
        return "it names a folder of a repository, and no file in it"
    is_page = len(parts) <= 2 or parts[2:] == ["releases"] or parts[2:4] == ["releases", "tag"]
    return "it names a repository and no file in it" if is_page else None


def _web_address(text: str, scheme: str, host: str, path: str, query: str) -> Address:
    if not host:
        raise AddressError(f"{text!r} names no host")
    kind: Scheme = "https" if scheme == "https" else "http"
    return Address(text, kind, host, path, _hub_file_of(host, path) if kind == "https" and not _steers(query) else None)


def _steers(query: str) -> bool:
    """Say whether a query asks the hub for something other than the file (its habitual ``?download=true`` does not)."""
    return query not in {"", "download=true", "download=1"}


def _hub_file_of(host: str, path: str) -> HubFile | None:
    """Return the file that one of the hub's own https addresses names, or None when it is of another form."""
    if host not in HUB_HOSTS:
        return None
    parts = path.strip("/").split("/")
    kind = parts.pop(0) if parts[0] in _HUB_KINDS else ""
    if len(parts) < 5 or parts[2] != "resolve":
        return None
    owner, name, _, revision, *rest = map(unquote, parts)
    inside = "/".join(rest)
    if not (_HUB_NAME.fullmatch(owner) and _HUB_NAME.fullmatch(name)) or _path_problem(inside) or not revision:
        return None
    return HubFile(kind, owner, name, revision, inside)


def _hub_address(text: str, rest: str) -> Address:
    form = "hf://owner/name@revision/path"
    if "?" in rest or "#" in rest:
        raise AddressError(f"{text!r}: {form} has no ? or # part")
    parts = rest.split("/")
    kind = parts.pop(0) if parts[0] in _HUB_KINDS and len(parts) > 3 else ""
    if len(parts) < 3:
        raise AddressError(f"{text!r} is not of the form {form}")
    owner, (name, at, revision) = parts[0], parts[1].partition("@")
    path = unquote("/".join(parts[2:]))
    if not (_HUB_NAME.fullmatch(owner) and _HUB_NAME.fullmatch(name)):
        raise AddressError(f"{text!r} is not of the form {form}: {owner}/{name} is no repository")
    if at and not revision:
        raise AddressError(f"{text!r} names an empty revision")
    problem = _path_problem(path)
    if problem:
        raise AddressError(f"{text!r}: {problem}")
    return Address(text, "hf", "", path, HubFile(kind, owner, name, unquote(revision) if at else "main", path))


def _bucket_address(text: str, bucket: str, key: str) -> Address:
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise AddressError(f"{text!r}: {bucket!r} is no name of a bucket")
    if not key or key.endswith("/"):
        raise AddressError(f"{text!r} names no object in the bucket")
    return Address(text, "s3", bucket, key)


def _file_address(text: str, host: str, path: str) -> Address:
    if host not in {"", "localhost"}:
        raise AddressError(f"{text!r} names a file of another machine")
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise AddressError(f"{text!r} names no file; write file:///absolute/path")
    return Address(text, "file", "", path)


def _store_path(text: str, path: str) -> str:
    problem = _path_problem(path)
    if problem:
        raise AddressError(f"{text!r}: {problem}")
    return path


def _path_problem(path: str) -> str | None:
    """Say why a path could lead out of its folder on some system; None when it cannot."""
    parts = path.split("/")
    if not path or any(part in {"", ".", ".."} for part in parts):
        return "its path must lie below its folder, without empty, . or .. parts"
    if "\\" in path or ":" in path or any(ord(character) < 32 for character in path):
        return "its path must not hold backslashes, colons or control characters"
    return None
