"""Bringing a source distribution as data: downloaded or copied, held to its hash, kept by it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from stemsep_envs.environments.sources.finding import Sdist
from stemsep_envs.environments.sources.source_cache import sources_dir
from stemsep_envs.errors import BuildError, LimitError, MismatchError
from stemsep_envs.host import locks
from stemsep_envs.host.atomic_write import copy_hashed, publish
from stemsep_envs.host.downloads import Expected, Source, WrongContentError, fetch_into
from stemsep_envs.host.file_reading import Readable, UnreadableError, open_plain, sha256_of
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.partial_download import discard
from stemsep_envs.host.paths import Home
from stemsep_envs.host.redaction import redact
from stemsep_envs.host.transfers import Patience, Transfer, transfer_all
from stemsep_envs.host.web import WebError, WebRequest

LARGEST_BYTES = 2 << 30
"""A source distribution that is larger is not taken."""

_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL")


def fetch_sdist(sdist: Sdist, *, hashes: tuple[str, ...] | None, home: Home, offline: bool) -> tuple[Path, str]:
    """Return the file of a source distribution and its SHA-256, fetching it if it is not here.

    Args:
        sdist: Where it lies.
        hashes: Those that may serve; None when nothing is locked yet.
        home: Where it is kept.
        offline: Forbid the network.

    Raises:
        MismatchError: It is not the one that is locked, or not the one that its index announces.
        BuildError: It is not available.
        LimitError: No space, or the server stalls.
    """
    expected = sdist.sha256
    if expected is None and hashes is not None and len(hashes) == 1:
        expected = hashes[0]
    with locks.hold(home.holds_dir / f"sdist-{sdist.name}-{sdist.version}"):
        here = None if expected is None else kept_path(home, expected, sdist.filename)
        if here is not None and here.is_file() and sha256_of(here)[0] == expected:
            return _allowed(here, expected or "", sdist, hashes)
        part = ensure_dir(sources_dir(home)) / f"{sdist.filename}.part"
        sha256 = _bring(part, sdist, expected, offline=offline)
        if hashes is not None and sha256 not in hashes:
            discard(part)
            raise _other(sdist, sha256)
        final = kept_path(home, sha256, sdist.filename)
        publish(part, final)
        discard(part)
        return final, sha256


def kept_path(home: Home, sha256: str, filename: str) -> Path:
    """Return where a source distribution is kept, by its hash."""
    return sources_dir(home) / sha256 / filename


def _allowed(path: Path, sha256: str, sdist: Sdist, hashes: tuple[str, ...] | None) -> tuple[Path, str]:
    if hashes is not None and sha256 not in hashes:
        raise _other(sdist, sha256)
    return path, sha256


def _bring(part: Path, sdist: Sdist, expected: str | None, *, offline: bool) -> str:
    if urlsplit(sdist.address).scheme not in {"http", "https"}:
        return _copy(part, sdist, expected)
    if offline:
        raise BuildError(
            f"the source of {sdist.name} {sdist.version} is not here, and offline it cannot be fetched",
            hint="build it once with the network, or bring the folder cache/sources of the home along",
            code="offline",
        )
    patience = Patience()
    source = Source(redact(sdist.address), lambda: _request(sdist.address))

    def fetch(transfer: Transfer) -> str:
        return fetch_into(part, source, Expected(expected, sdist.size_bytes), transfer, patience).sha256

    try:
        (sha256,) = transfer_all([(sdist.filename, fetch)], patience=patience, on_progress=lambda _: None)
    except WrongContentError as error:
        raise _mismatch(sdist, error.message) from None
    except WebError as error:
        words = f"the source of {sdist.name} {sdist.version} cannot be fetched: {source.shown} {error.message}"
        if error.code == "download_stalled":
            raise LimitError(words, hint=error.hint, code=error.code) from None
        raise BuildError(words, hint=error.hint, code=error.code) from None
    return sha256


def _copy(part: Path, sdist: Sdist, expected: str | None) -> str:
    path = Path(sdist.address)
    try:
        with open_plain(path) as stream:
            sha256, _ = copy_hashed(Readable(stream), part, max_bytes=LARGEST_BYTES)
    except (OSError, UnreadableError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        words = f"the source of {sdist.name} {sdist.version} cannot be read: {path}: {why}"
        raise BuildError(words, code="source_missing") from None
    if expected not in {None, sha256}:
        discard(part)
        raise _mismatch(sdist, f"its sha256 is {sha256}")
    return sha256


def _request(address: str) -> WebRequest:
    """Return a request with the login that the user gave for an index on the same host, if any."""
    origin = _origin(address)
    if origin is not None and "@" not in urlsplit(address).netloc:
        for index in _indexes(os.environ.get):
            login = urlsplit(index).netloc.rpartition("@")[0] if _origin(index) == origin else ""
            if login:
                parts = urlsplit(address)
                return WebRequest(parts._replace(netloc=f"{login}@{parts.netloc}").geturl())
    return WebRequest(address)


def _origin(address: str) -> tuple[str, str | None, int | None] | None:
    """Return what a login is for; None for an address that is none."""
    with suppress(ValueError):
        parts = urlsplit(address)
        return parts.scheme, parts.hostname, parts.port
    return None


def _indexes(variable: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the addresses of indexes that the environment names; uv's may be ``NAME=ADDRESS``."""
    for name in _INDEX_VARIABLES:
        for word in (variable(name) or "").split():
            head, _, rest = word.partition("=")
            yield rest if rest and "://" not in head else word


def _mismatch(sdist: Sdist, found: str) -> MismatchError:
    return MismatchError(
        f"{redact(sdist.address)} is not the file that its index announces: {found}",
        hint="the index serves another file, or something between changed it",
        code="hash_mismatch",
    )


def _other(sdist: Sdist, sha256: str) -> MismatchError:
    return MismatchError(
        f"the source of {sdist.name} {sdist.version} is not one that is locked: its sha256 is {sha256}",
        hint="the index serves another file than when it was locked",
        code="hash_mismatch",
    )
