"""Resumable downloads: one file, continued wherever it broke off.

    <name>.part         what is here so far
    <name>.part.json    where it came from, and what tells that version of the file from another

A part that was begun is continued with ``Range`` and ``If-Range``. Where a hash will check the whole, whatever is here
is continued; else only what certainly reached the disk, of the very version that it was begun with. The caller holds a
lock on the part, so that one process writes it. Nothing here gives a file its final name.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from stemsep_envs.errors import LimitError
from stemsep_envs.host.content_encoding import Plain, Unpacked
from stemsep_envs.host.folders import ensure_dir
from stemsep_envs.host.partial_download import PartState, begun, discard, make_sure, note
from stemsep_envs.host.transfers import Patience, Transfer
from stemsep_envs.host.web import Reply, WebError, WebRequest, opened
from stemsep_envs.host.write_errors import explained

LARGEST_BYTES = 64 << 30
"""A file of unknown size that is larger than this is not taken."""

_BLOCK_BYTES = 1 << 18
_SNIFFED_BYTES = 512
_PAGE_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body")
_POINTER_BEGINNINGS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE | re.ASCII)
_MOST_DIGITS = 18
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENCODINGS = {"gzip", "x-gzip", "deflate"}


@dataclass(frozen=True)
class Source:
    """A place to fetch from.

    Attributes:
        shown: The place as people may see it, without secrets.
        request: Makes the request, anew for every attempt: signed addresses grow old.
        is_hub: Whether the server is a hub whose word on a file's hash counts.
    """

    shown: str
    request: Callable[[], WebRequest]
    is_hub: bool = False


@dataclass(frozen=True)
class Expected:
    """What is known of a file beforehand: hash, size, and how much is taken of it where nobody knows its size."""

    sha256: str | None = None
    size_bytes: int | None = None
    most_bytes: int = LARGEST_BYTES


@dataclass(frozen=True)
class Downloaded:
    """A whole file that lies in its part: digest and size, its source, and the hash that a hub gave for it."""

    sha256: str
    size_bytes: int
    source: str
    announced_sha256: str | None = None


class WrongContentError(Exception):
    """All of a file came, and it is not the file that was promised."""

    def __init__(self, message: str, *, begun_anew: bool) -> None:
        super().__init__(message)
        self.message, self.begun_anew = message, begun_anew


def fetch_into(part: Path, source: Source, expected: Expected, transfer: Transfer, patience: Patience) -> Downloaded:
    """Bring a file from one source into ``part``, in as many attempts as patience allows.

    Raises:
        WebError: It is not available there.
        WrongContentError: What is there is another file; the part is gone.
        LimitError: The disk is full.
    """
    tries = _Tries(patience, patience.pause_seconds)
    while True:
        try:
            return _attempt(part, source, expected, transfer, patience)
        except WrongContentError as error:
            discard(part)
            if error.begun_anew or tries.spoiled:
                raise
            tries.spoiled = True  # a part of an older version, or of something else: from the beginning, once
        except WebError as error:
            transfer.check()
            pause = tries.pause_after(_as_stall(error, transfer), transfer.done_bytes)
            transfer.note = f"{error.message}; asking again in {pause:.0f} s"
            transfer.sleep(pause)
            transfer.note = None


@dataclass
class _Tries:
    """How often a source may still fail. Only more of the file than there ever was counts as progress."""

    patience: Patience
    next_pause_seconds: float
    failed: int = 0
    most_bytes: int = 0
    spoiled: bool = False

    def pause_after(self, error: WebError, done_bytes: int) -> float:
        """Return how long to wait before the next attempt, in seconds; raise the error when there is to be none."""
        patience = self.patience
        if done_bytes >= self.most_bytes + patience.progress_bytes:
            self.failed, self.next_pause_seconds = 0, patience.pause_seconds
        self.most_bytes = max(self.most_bytes, done_bytes)
        self.failed += 1 if error.reached else 2
        if not error.again or self.failed >= patience.attempts:
            raise error from None
        asked = error.wait_seconds or 0.0
        if asked > patience.longest_pause_seconds:
            words = f"{error.message}; it asks to wait {asked:.0f} s"
            raise WebError(error.code, words, hint="try again later") from None
        usual, self.next_pause_seconds = self.next_pause_seconds, self.next_pause_seconds * 2
        return min(patience.longest_pause_seconds, max(usual, asked))


def _as_stall(error: WebError, transfer: Transfer) -> WebError:
    """Return an error as what it is: connections that were ended from outside look as if they broke."""
    if error.code != "download_stalled" and transfer.watch.ended_because is None:
        return error
    return WebError("download_stalled", "sends nothing, or almost nothing", again=True, reached=False)


def _attempt(part: Path, source: Source, expected: Expected, transfer: Transfer, patience: Patience) -> Downloaded:
    state = begun(part, source.shown, any_source=expected.sha256 is not None, check=transfer.check)
    request = source.request()
    headers = {"Accept-Encoding": "identity", "Accept": "*/*", **request.headers}
    if state.size:
        headers["Range"] = f"bytes={state.size}-"
        if state.validator and state.source == source.shown:
            headers["If-Range"] = state.validator
    asked = WebRequest(request.url, headers, request.private_headers)
    with transfer.receiving(), opened(asked, transfer.watch, timeout_seconds=patience.stall_seconds) as reply:
        if reply.status == 416 and state.size:
            if expected.sha256 is not None and state.size in {expected.size_bytes, state.total}:
                return _judged(state, source, expected, None, resumed=True)
            discard(part)
            raise WebError("download_failed", "does not continue what was begun", again=True)
        _refuse_status(reply)
        resumed = _continues(reply, state, expected, part)
        if not resumed:
            state = PartState(source=source.shown)
        total, announced = _sizes(reply, state), _announced(reply) if source.is_hub else None
        _refuse_unfit(reply, total, expected, announced)
        state.source, state.validator, state.total = source.shown, _validator(reply), total
        transfer.begin(done_bytes=state.size, total_bytes=total or expected.size_bytes)
        _refuse_full_disk(part, (total or 0) - state.size)
        _receive(reply, part, state, _most_bytes(total, expected), transfer, patience)
    return _judged(state, source, expected, announced, resumed=resumed)


def _continues(reply: Reply, state: PartState, expected: Expected, part: Path) -> bool:
    """Say whether an answer continues the part; raises when it is a piece of something else."""
    if reply.status == 200:
        return False
    match = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", "").strip())
    encoded = _encoding(reply) is not None
    total = None if match is None or match[3] == "*" else int(match[3])
    same_version = expected.sha256 is not None or _validator(reply) == state.validator
    same_size = state.total is None or total is None or total == state.total
    if match is None or int(match[1]) != state.size or encoded or not same_version or not same_size or not state.size:
        discard(part)
        raise WebError("download_failed", "changed since the download was begun", again=True)
    return True


def _refuse_status(reply: Reply) -> None:
    status = reply.status
    if status in {200, 206}:
        return
    words = f"answered {status}"
    if status in {401, 403, 407}:
        hint = (
            "the file may be private, or its terms have to be accepted first; tokens: docs/reference/configuration.md"
        )
        raise WebError("download_denied", f"{words}: not allowed", hint=hint)
    if status in {404, 410}:
        gone = "the file was there before" if status == 410 else "nothing is there"
        raise WebError("download_missing", f"{words}: {gone}", hint="the address may be out of date")
    if status == 429 or status >= 500:
        meaning = {429: "too many requests", 503: "not available now"}.get(status, "the server failed")
        raise WebError("download_failed", f"{words}: {meaning}", again=True, wait_seconds=_retry_after(reply))
    raise WebError("download_failed", words, again=status == 408)


def _refuse_unfit(reply: Reply, total: int | None, expected: Expected, announced: str | None) -> None:
    """Refuse, before anything is written, what can be told from the headers."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"text/html", "application/xhtml+xml"}:
        raise WebError("not_the_file", f"gives a web page ({kind}) instead of the file")
    if expected.sha256 is not None and announced is not None and announced != expected.sha256:
        raise WrongContentError(f"the hub says that its sha256 is {announced}", begun_anew=True)
    if total is not None and total > allowance(expected):
        raise WrongContentError(f"it has {total} bytes", begun_anew=True)
    if total is not None and expected.sha256 is None and expected.size_bytes not in {None, total}:
        raise WrongContentError(f"it has {total} bytes", begun_anew=True)
    encoding = reply.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity", *_ENCODINGS}:
        raise WebError("download_failed", f"sends the file compressed as {encoding}, which was not asked for")


def allowance(expected: Expected) -> int:
    """Return the most bytes that are taken. Where the hash is known, the size may be a little off: the hash decides."""
    if expected.size_bytes is None:
        return expected.most_bytes
    if expected.sha256 is None:
        return expected.size_bytes
    return expected.size_bytes + max(expected.size_bytes // 4, 1 << 20)


def _most_bytes(total: int | None, expected: Expected) -> int:
    return min(allowance(expected), LARGEST_BYTES if total is None else total)


def _sizes(reply: Reply, state: PartState) -> int | None:
    """Return how large the whole file is by what the server says, or None where it does not say."""
    match = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", "").strip())
    if reply.status == 206 and match is not None and match[3] != "*":
        return int(match[3])
    if _encoding(reply) is not None or reply.headers.get("transfer-encoding"):
        return None
    length = reply.headers.get("content-length", "").strip()
    if not (length.isascii() and length.isdecimal()):
        return None
    if len(length) > _MOST_DIGITS:
        raise WebError("download_failed", "states an impossible size")
    return state.size + int(length)


def _encoding(reply: Reply) -> str | None:
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    return encoding if encoding not in {"", "identity"} else None


def _announced(reply: Reply) -> str | None:
    """Return the hash that a hub gives for a large file; others have tags that are none."""
    tag = reply.first_headers.get("x-linked-etag", "").strip().removeprefix("W/").strip('"').lower()
    return tag if _SHA256.fullmatch(tag) else None


def _validator(reply: Reply) -> str | None:
    """Return what tells this version of the file from all others: a strong tag, or a time well in the past."""
    if _encoding(reply) is not None:
        return None
    tag = reply.headers.get("etag", "").strip()
    if tag:
        return tag if tag.startswith('"') and tag.isprintable() else None
    changed, said = reply.headers.get("last-modified", ""), reply.headers.get("date", "")
    try:
        settled = (parsedate_to_datetime(said) - parsedate_to_datetime(changed)).total_seconds() >= 60
    except (TypeError, ValueError, OverflowError):
        return None
    return changed.strip() if settled else None


def _retry_after(reply: Reply) -> float | None:
    text = reply.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, OSError):  # the last two of years that no clock has
        return None


def _receive(
    reply: Reply, part: Path, state: PartState, most_bytes: int, transfer: Transfer, patience: Patience
) -> None:
    """Write what comes to the part; at the end, broken off or not, note how far it is sure."""
    ensure_dir(part.parent)
    unpacked = Plain() if _encoding(reply) is None else Unpacked(min(most_bytes + 1, _BLOCK_BYTES))
    with explained(part), part.open("r+b" if part.exists() else "x+b") as stream:
        stream.truncate(state.size)
        stream.seek(state.size)
        flushed_at = time.monotonic()
        note(part, state)
        with _noting(part, stream, state):
            while packed := reply.read(_BLOCK_BYTES):
                transfer.check()
                transfer.count(len(packed))
                for block in unpacked.take(packed):
                    if state.size + len(block) > most_bytes:
                        raise WrongContentError(f"more than {most_bytes} bytes came", begun_anew=True)
                    if state.size < _SNIFFED_BYTES:
                        _refuse_page(block, state, stream)
                    state.digest.update(block)
                    stream.write(block)
                    state.size += len(block)
                if time.monotonic() - flushed_at > patience.flush_seconds:
                    make_sure(part, stream, state)
                    flushed_at = time.monotonic()
    if transfer.watch.ended_because is not None:
        raise WebError("download_stalled", "broke off", again=True)
    if state.total is not None and state.size < state.total:
        words = f"broke off after {state.size} of {state.total} bytes"
        raise WebError("download_failed", words, again=True)
    if not unpacked.is_whole:
        raise WebError("download_failed", "broke off inside its compressed data", again=True)


def _refuse_page(block: bytes, state: PartState, stream: BinaryIO) -> None:
    """Look at how a file begins as soon as enough of it came, which may be in drops."""
    beginning = bytes(block[:_SNIFFED_BYTES])
    if state.size:
        stream.flush()
        stream.seek(0)
        beginning = (stream.read(state.size) + beginning)[:_SNIFFED_BYTES]
        stream.seek(state.size)
    refuse_page(beginning)


def refuse_page(beginning: bytes) -> None:
    """Refuse what is not the file but stands in its place, by how it begins.

    Raises:
        WebError: It is such a thing.
    """
    what = placeholder_kind(beginning)
    if what is not None:
        raise WebError("not_the_file", f"gives {what} instead of the file")


def placeholder_kind(beginning: bytes) -> str | None:
    """Say what stands in the place of a file, by how it begins: a web page, or a pointer; None when neither does."""
    text = beginning[:_SNIFFED_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGE_BEGINNINGS):
        return "a web page"
    return "a pointer to a file that Git LFS keeps" if text.startswith(_POINTER_BEGINNINGS) else None


@contextmanager
def _noting(part: Path, stream: BinaryIO, state: PartState) -> Iterator[None]:
    try:
        yield
    except WrongContentError:
        raise
    except WebError as error:
        if error.code == "not_the_file":
            discard(part)
        else:
            make_sure(part, stream, state)
        raise
    except BaseException:
        make_sure(part, stream, state)
        raise
    make_sure(part, stream, state)


def _judged(
    state: PartState, source: Source, expected: Expected, announced: str | None, *, resumed: bool
) -> Downloaded:
    """Compare what came with what was promised."""
    sha256 = state.digest.hexdigest()
    wanted = expected.sha256 or announced
    if wanted is not None and sha256 != wanted:
        raise WrongContentError(f"its sha256 is {sha256}", begun_anew=not resumed)
    if expected.sha256 is None and expected.size_bytes not in {None, state.size}:
        raise WrongContentError(f"it has {state.size} bytes", begun_anew=not resumed)
    if state.size == 0 and expected.sha256 is None:
        raise WebError("not_the_file", "gives an empty file")
    return Downloaded(sha256, state.size, source.shown, announced)


def _refuse_full_disk(part: Path, needed_bytes: int) -> None:
    folder = ensure_dir(part.parent)
    with explained(folder):
        free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise LimitError(
            f"{needed_bytes} more bytes are needed, and {free} are free in {folder}",
            hint="free some space, or set STEMSEP_ENV_HOME to a folder on a larger disk",
            code="no_space",
        )
