"""Downloads from a server that misbehaves in every way: what comes is right or refused in words, and is continued."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.programs.file_server import Exchange, FileServer, answers, good, in_turn, running

from stemsep_envs.errors import LimitError
from stemsep_envs.host.downloads import Downloaded, Expected, Source, WrongContentError, fetch_into
from stemsep_envs.host.transfers import Patience, Transfer, TransferEndedError, transfer_all
from stemsep_envs.host.web import WebError, WebRequest

DATA = os.urandom(300_000)
SHA = hashlib.sha256(DATA).hexdigest()
KNOWN = Expected(SHA, len(DATA))
UNKNOWN = Expected()
BRISK = Patience(stall_seconds=60, attempts=3, pause_seconds=0.01, tell_seconds=0.01, flush_seconds=0.0)
HASTY = replace(BRISK, stall_seconds=0.5, attempts=20)
"""Ends what stalls soon, and tries often: on a busy machine a good server may seem to stall as well."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as made:
        yield made


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "partial" / "x.part"


def source(url: str, **private: str) -> Source:
    return Source(url, lambda: WebRequest(url, {}, private))


def fetch(part: Path, wanted: Source, expected: Expected = KNOWN, patience: Patience = BRISK) -> Downloaded:
    (done,) = transfer_all(
        [("x", lambda transfer: fetch_into(part, wanted, expected, transfer, patience))],
        patience=patience,
        on_progress=lambda _: None,
    )
    return done


def refused(part: Path, wanted: Source, expected: Expected = KNOWN, patience: Patience = BRISK) -> WebError:
    with pytest.raises(WebError) as caught:
        fetch(part, wanted, expected, patience)
    return caught.value


@pytest.mark.parametrize("expected", [KNOWN, UNKNOWN, Expected(SHA), Expected(None, len(DATA))])
def test_fetches_a_file(server: FileServer, part: Path, expected: Expected) -> None:
    done = fetch(part, source(server.serve("/x", DATA)), expected)
    assert (done.sha256, done.size_bytes, part.read_bytes()) == (SHA, len(DATA), DATA)


@pytest.mark.parametrize("expected", [KNOWN, UNKNOWN])
def test_a_connection_that_is_cut_is_continued(server: FileServer, part: Path, expected: Expected) -> None:
    fetch(part, source(server.serve("/x", DATA, stop_after=100_000, times=2)), expected)
    assert part.read_bytes() == DATA
    starts = [asked.first_byte for asked in server.asked]
    assert starts[0] is None
    assert starts[1:] == [100_000, 200_000], "what was there is not fetched again"
    assert all("if-range" in asked.headers for asked in server.asked[1:])


def test_a_connection_that_stalls_is_ended_and_continued(server: FileServer, part: Path) -> None:
    fetch(part, source(server.serve("/x", DATA, stop_after=100_000, then="stall")), KNOWN, HASTY)
    assert server.asked[-1].first_byte == 100_000


def test_a_server_that_is_endlessly_slow_is_given_up(server: FileServer, part: Path) -> None:
    hasty = replace(HASTY, attempts=3)
    error = refused(part, source(server.serve("/x", DATA, pace=60)), UNKNOWN, hasty)
    assert error.code == "download_stalled"

    def drip(exchange: Exchange) -> None:
        exchange.begin(200, {"Content-Length": len(DATA)})
        while not exchange.closing.is_set():
            exchange.send(b"x")
            time.sleep(0.05)

    assert refused(part, source(server.on("/drip", drip)), KNOWN, hasty).code == "download_stalled"

    def drip_headers(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not exchange.closing.is_set():
            exchange.send(b"x")
            time.sleep(0.05)

    assert refused(part, source(server.on("/headers", drip_headers)), KNOWN, hasty).code == "download_stalled"
    assert refused(part, source(server.on("/mute", Exchange.stall)), KNOWN, hasty).code == "download_stalled"


def test_server_that_restarts_and_breaks_is_given_up(server: FileServer, part: Path) -> None:
    patience = replace(BRISK, progress_bytes=50_000)
    wanted = source(server.serve("/x", DATA, stop_after=100_000, times=99, ranges=False))
    assert "broke off" in refused(part, wanted, KNOWN, patience).message
    assert len(server.asked) <= 2 * BRISK.attempts
    other = os.urandom(len(DATA))
    spoiled = [good(DATA, etag='"1"', stop_after=100_000, times=9), good(other, etag='"1"')] * 9
    with pytest.raises(WrongContentError):
        fetch(part, source(server.on("/y", in_turn(*spoiled))), KNOWN, patience)
    assert len(server.asked_for("/y")) == 4, "a part is thrown away once"


def test_a_length_that_is_too_long_is_a_break(server: FileServer, part: Path) -> None:
    lie = good(DATA[:1000], headers={"Content-Length": "2000"}, ranges=False)
    error = refused(part, source(server.on("/x", lie)), UNKNOWN)
    assert error.again
    assert part.stat().st_size <= 1000


def test_a_length_that_is_too_short_gives_another_file(server: FileServer, part: Path) -> None:
    lie = good(DATA, headers={"Content-Length": "1000"}, ranges=False)
    with pytest.raises(WrongContentError, match="sha256"):
        fetch(part, source(server.on("/x", lie)))
    assert not part.exists()


def test_never_writes_more_than_is_expected(server: FileServer, part: Path) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.begin(200, {})
        while not exchange.closing.is_set():
            exchange.send(b"\xff" * 65536)

    url = server.on("/x", endless)
    with pytest.raises(WrongContentError, match="more than 5000 bytes"):
        fetch(part, source(url), Expected(None, 5000))
    assert not part.exists()
    with pytest.raises(WrongContentError, match="more than"):
        fetch(part, source(url), Expected(SHA, 5000))
    with pytest.raises(WrongContentError, match="300000 bytes"):
        fetch(part, source(server.serve("/y", DATA)), Expected(None, 5000))


def test_a_size_that_is_a_little_off_is_left_to_the_hash(server: FileServer, part: Path) -> None:
    assert fetch(part, source(server.serve("/x", DATA)), Expected(SHA, len(DATA) - 5)).size_bytes == len(DATA)


@pytest.mark.parametrize("resume_with", ["range", "whole"])
def test_a_file_that_changed_meanwhile_is_begun_anew(server: FileServer, part: Path, resume_with: str) -> None:
    other = os.urandom(len(DATA))
    honest = in_turn(good(other, stop_after=100_000), good(DATA))
    liar = in_turn(good(other, etag='"same"', stop_after=100_000), good(DATA, etag='"same"'))
    done = fetch(part, source(server.on("/x", honest if resume_with == "whole" else liar)))
    assert done.sha256 == SHA
    assert part.read_bytes() == DATA


def test_without_hash_only_the_same_version_is_continued(server: FileServer, part: Path) -> None:
    other = os.urandom(len(DATA))
    done = fetch(part, source(server.on("/x", in_turn(good(other, stop_after=100_000), good(DATA)))), UNKNOWN)
    assert done.sha256 == SHA

    def ignores_if_range(exchange: Exchange) -> None:
        first = exchange.first_byte or 0
        facts: dict[str, str | int] = {"Content-Length": len(DATA) - first, "ETag": '"other"'}
        if first:
            facts["Content-Range"] = f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"
        exchange.begin(206 if first else 200, facts)
        exchange.send(DATA[first:])

    done = fetch(part, source(server.on("/y", in_turn(good(other, stop_after=100_000), ignores_if_range))), UNKNOWN)
    assert done.sha256 == SHA


def test_a_server_without_ranges_begins_anew(server: FileServer, part: Path) -> None:
    fetch(part, source(server.serve("/x", DATA, stop_after=100_000, ranges=False)))
    assert part.read_bytes() == DATA


def test_a_piece_that_is_not_the_one_asked_for_is_not_taken(server: FileServer, part: Path) -> None:
    def wrong_place(exchange: Exchange) -> None:
        headers: dict[str, str | int] = {
            "Content-Length": 10,
            "Content-Range": f"bytes 5-14/{len(DATA)}",
            "ETag": '"a"',
        }
        exchange.begin(206, headers)
        exchange.send(DATA[5:15])

    first = good(DATA, etag='"a"', stop_after=100_000)
    fetch(part, source(server.on("/x", in_turn(first, wrong_place, good(DATA)))))
    assert part.read_bytes() == DATA
    assert refused(part, source(server.on("/y", wrong_place)), UNKNOWN).again, "nor where nothing was asked for"


def test_a_part_that_cannot_be_continued_is_begun_anew(server: FileServer, part: Path) -> None:
    url = server.on("/x", in_turn(good(DATA, stop_after=100_000), answers(416), good(DATA)))
    fetch(part, source(url))
    assert part.read_bytes() == DATA


def test_a_part_that_is_whole_needs_no_more(server: FileServer, part: Path) -> None:
    url = server.serve("/x", DATA)
    fetch(part, source(url))
    assert fetch(part, source(url)).sha256 == SHA
    assert [asked.first_byte for asked in server.asked] == [None, len(DATA)]


def test_what_a_part_says_of_itself_is_not_believed_blindly(server: FileServer, part: Path) -> None:
    url = server.serve("/x", DATA)
    for notes in (b"", b"[]", b"{", b'{"source": 1, "validator": 2, "total_bytes": "x", "sure_bytes": null}', b"\xff"):
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(os.urandom(1000))
        part.with_name("x.part.json").write_bytes(notes)
        assert fetch(part, source(url), UNKNOWN).sha256 == SHA


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (401, "download_denied", False),
        (403, "download_denied", False),
        (404, "download_missing", False),
        (410, "download_missing", False),
        (400, "download_failed", False),
        (429, "download_failed", True),
        (500, "download_failed", True),
        (503, "download_failed", True),
        (204, "download_failed", False),
        (301, "download_failed", False),
    ],
)
def test_refusals_have_words(server: FileServer, part: Path, status: int, code: str, *, again: bool) -> None:
    error = refused(part, source(server.on("/x", answers(status, b"<html>sorry</html>" if status != 204 else b""))))
    assert (error.code, error.again) == (code, again)
    assert str(status) in error.message
    assert len(server.asked) == (BRISK.attempts if again else 1)
    assert not part.exists()


def test_a_busy_server_is_asked_again_when_it_says(server: FileServer, part: Path) -> None:
    url = server.on("/x", in_turn(answers(429, Retry_After="0"), answers(503), good(DATA)))
    fetch(part, source(url))
    error = refused(part, source(server.on("/y", answers(503, Retry_After="3600"))))
    assert "3600 s" in error.message
    assert len(server.asked_for("/y")) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "application/octet-stream"),
        (b"\xef\xbb\xbf \n <HTML>no</HTML>", "application/octet-stream"),
        (b"whatever", "text/html; charset=utf-8"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "text/plain"),
        (b"", "application/octet-stream"),
    ],
)
def test_a_web_page_is_no_file(server: FileServer, part: Path, body: bytes, kind: str) -> None:
    error = refused(part, source(server.serve("/x", body, headers={"Content-Type": kind})), UNKNOWN)
    assert (error.code, error.again) == ("not_the_file", False)
    assert not part.exists() or part.stat().st_size == 0


def test_a_web_page_in_drops_is_no_file(server: FileServer, part: Path) -> None:
    def drops(exchange: Exchange) -> None:
        body = b"<!doctype html><p>no"
        exchange.begin(200, {"Content-Length": len(body)})
        for byte in body:
            exchange.send(bytes([byte]))
            time.sleep(0.002)

    assert refused(part, source(server.on("/x", drops)), UNKNOWN).code == "not_the_file"


def test_redirects_are_followed_where_they_may(server: FileServer, part: Path) -> None:
    server.serve("/file", DATA)
    server.on("/a", answers(302, Location="/b"))
    server.on("/b", answers(307, Location=server.url("/file")))
    assert fetch(part, source(server.url("/a"))).sha256 == SHA
    for place in (
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:text/plain,x",
        "http://",
        "//[::bad",
        "javascript:1",
    ):
        error = refused(part, source(server.on("/x", answers(302, Location=place))))
        assert error.code in {"download_refused", "download_failed"}, place
    assert "more than 10" in refused(part, source(server.on("/loop", answers(302, Location="/loop")))).message
    page = server.on("/page", answers(200, b"<html>Sign in</html>", Content_Type="text/html"))
    assert refused(part, source(server.on("/x", answers(302, Location=page)))).code == "not_the_file"


def test_a_token_goes_to_the_first_host_alone(server: FileServer, part: Path) -> None:
    with running() as elsewhere:
        target = elsewhere.serve("/file", DATA)
        server.on("/x", answers(302, Location="/here"))
        server.on("/here", answers(302, Location=target))
        fetch(part, source(server.url("/x"), Authorization="Bearer secret"))
        assert [asked.headers.get("authorization") for asked in server.asked] == ["Bearer secret"] * 2
        assert [asked.headers.get("authorization") for asked in elsewhere.asked] == [None]


def test_a_password_in_the_address_is_said_as_a_header(server: FileServer, part: Path) -> None:
    server.serve("/x", DATA)
    fetch(part, source(server.url("/x").replace("//", "//me:pa%20ss@")))
    assert server.asked[0].headers["authorization"] == "Basic bWU6cGEgc3M="


def test_a_file_that_is_packed_on_the_way_is_unpacked(server: FileServer, part: Path) -> None:
    packed = gzip.compress(DATA)
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(packed))}
    fetch(part, source(server.serve("/x", packed, headers=headers, stop_after=1000)))
    assert part.read_bytes() == DATA
    part.unlink()
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(WrongContentError, match="more than"):
        fetch(part, source(server.serve("/y", bomb, headers={**headers, "Content-Length": str(len(bomb))})))
    error = refused(part, source(server.serve("/z", DATA, headers={"Content-Encoding": "br"})))
    assert "br" in error.message
    error = refused(part, source(server.serve("/d", DATA, headers={"Content-Encoding": "gzip"})))
    assert "damaged" in error.message


def packed_reply(server: FileServer, path: str, packed: bytes) -> Source:
    """Return a source that says nothing of the length: only what was packed tells where it ends."""

    def behave(exchange: Exchange) -> None:
        exchange.begin(200, {"Content-Encoding": "gzip"})
        exchange.send(packed)

    return source(server.on(path, behave))


def test_a_packed_file_must_be_whole_and_no_more(server: FileServer, part: Path) -> None:
    packed = gzip.compress(DATA)
    assert fetch(part, packed_reply(server, "/whole", packed), UNKNOWN).sha256 == SHA
    parts = b"".join(gzip.compress(DATA[start : start + 70_000]) for start in range(0, len(DATA), 70_000))
    assert fetch(part, packed_reply(server, "/parts", parts), UNKNOWN).sha256 == SHA
    assert fetch(part, packed_reply(server, "/zlib", zlib.compress(DATA)), UNKNOWN).sha256 == SHA
    for size in (len(packed) - 1, len(packed) // 2, 5):
        error = refused(part, packed_reply(server, f"/{size}", packed[:size]), UNKNOWN)
        assert (error.again, "inside its compressed data" in error.message) == (True, True)
    tail = refused(part, packed_reply(server, "/tail", packed + b"junk"), UNKNOWN)
    assert "after the end of its compressed stream" in tail.message


HUGE = "9" * 5000
LONG_AGO = "Mon, 01 Jan 2024 00:00:00"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"Content-Length": HUGE}),
        (206, {"Content-Range": f"bytes 0-{HUGE}/{HUGE}", "Content-Length": "10"}),
        (302, {"Location": "http://h:99999/", "Content-Length": "0"}),
        (302, {"Location": "http://h:abc/", "Content-Length": "0"}),
        (302, {"Location": "http://[::1", "Content-Length": "0"}),
        (302, {"Location": "http://h\x1b[31m:x/", "Content-Length": "0"}),
        (503, {"Retry-After": f"{LONG_AGO} +99999999999999999999", "Content-Length": "0"}),
        (503, {"Retry-After": "Mon, 01 Jan 0001 00:00:00", "Content-Length": "0"}),
    ],
)
def test_headers_that_say_nonsense_are_the_servers_fault(
    server: FileServer, part: Path, status: int, headers: dict[str, str]
) -> None:
    error = refused(part, source(server.on("/x", raw(status, headers))), UNKNOWN)
    assert error.code.startswith("download_")
    assert error.message.isprintable()


@pytest.mark.parametrize("changed", [f"{LONG_AGO} +99999999999999999999", "Mon, 01 Jan 99999999999 00:00:00 GMT"])
def test_a_time_that_is_none_tells_no_version(server: FileServer, part: Path, changed: str) -> None:
    headers = {"Content-Length": str(len(DATA)), "Last-Modified": changed, "Date": f"{LONG_AGO} GMT"}
    assert fetch(part, source(server.on("/x", raw(200, headers, DATA))), UNKNOWN).sha256 == SHA


def raw(status: int, headers: dict[str, str], body: bytes = b"") -> Callable[[Exchange], None]:
    def behave(exchange: Exchange) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        exchange.send(f"HTTP/1.1 {status} x\r\n{lines}\r\n".encode() + body)

    return behave


def test_an_address_that_cannot_be_used_is_said(part: Path) -> None:
    for url in ("http://h:99999/x", "http://[::1/x"):
        assert "cannot be used" in refused(part, source(url), UNKNOWN).message


def test_what_has_a_bound_of_its_own_is_not_taken_beyond_it(server: FileServer, part: Path) -> None:
    with pytest.raises(WrongContentError, match="it has 300000 bytes"):
        fetch(part, source(server.serve("/x", DATA)), Expected(most_bytes=200_000))


def test_a_file_in_chunks_of_unknown_length(server: FileServer, part: Path) -> None:
    def chunks(*, whole: bool) -> object:
        def behave(exchange: Exchange) -> None:
            exchange.begin(200, {"Transfer-Encoding": "chunked"})
            for start in range(0, len(DATA), 50_000):
                piece = DATA[start : start + 50_000]
                exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            if whole:
                exchange.send(b"0\r\n\r\n")
            else:
                exchange.cut()

        return behave

    assert fetch(part, source(server.on("/x", chunks(whole=True))), UNKNOWN).sha256 == SHA  # type: ignore[arg-type]
    part.unlink()
    assert refused(part, source(server.on("/y", chunks(whole=False))), UNKNOWN).again  # type: ignore[arg-type]


def test_what_the_hub_says_of_a_file_counts(server: FileServer, part: Path) -> None:
    server.serve("/cdn", DATA)
    url = server.on("/x", answers(302, Location="/cdn", X_Linked_Etag=f'"{SHA}"'))
    hub = Source(url, lambda: WebRequest(url), is_hub=True)
    assert fetch(part, hub, UNKNOWN).announced_sha256 == SHA
    part.unlink()
    server.serve("/cdn", DATA[:-1])
    with pytest.raises(WrongContentError, match="sha256"):
        fetch(part, hub, UNKNOWN)
    with pytest.raises(WrongContentError, match="hub says"):
        fetch(part, hub, Expected("0" * 64))


def test_no_space_is_said_before_anything_is_fetched(
    server: FileServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(part.parent.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(LimitError, match="300000 more bytes are needed, and 1000 are free") as caught:
        fetch(part, source(server.serve("/x", DATA)))
    assert caught.value.code == "no_space"


def test_nobody_there(part: Path) -> None:
    with running() as server:
        url = server.url("/x")
    error = refused(part, source(url))
    assert "connect" in error.message
    assert error.again


def test_an_interruption_ends_at_once_and_keeps_what_came(server: FileServer, part: Path) -> None:
    wanted = source(server.serve("/x", DATA, stop_after=100_000, then="stall", times=9))

    def interrupt(transfers: object) -> None:
        if part.exists() and part.stat().st_size == 100_000:
            raise KeyboardInterrupt

    patient = Patience(stall_seconds=3600, tell_seconds=0.01)
    with pytest.raises(KeyboardInterrupt):
        transfer_all(
            [("x", lambda transfer: fetch_into(part, wanted, UNKNOWN, transfer, patient))],
            patience=patient,
            on_progress=interrupt,
        )
    assert part.read_bytes() == DATA[:100_000]
    server.serve("/x", DATA)
    fetch(part, wanted, UNKNOWN)
    assert server.asked[-1].first_byte == 100_000


def test_first_failure_ends_the_other_downloads() -> None:
    at_once, most, lock = [0], [0], threading.Lock()

    def work(transfer: Transfer) -> str:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        transfer.sleep(0.05)
        with lock:
            at_once[0] -= 1
        return transfer.name

    names = [str(number) for number in range(9)]
    assert transfer_all([(name, work) for name in names], patience=BRISK, on_progress=lambda _: None) == names
    assert 1 < most[0] <= BRISK.at_once
    ended = []

    def forever(transfer: Transfer) -> str:
        try:
            transfer.sleep(60)
        except TransferEndedError:
            ended.append(transfer.name)
            raise
        return ""

    def fail(transfer: Transfer) -> str:
        transfer.sleep(0.05)
        raise WebError("download_missing", "gone")

    with pytest.raises(WebError, match="gone"):
        transfer_all([("a", forever), ("b", fail)], patience=BRISK, on_progress=lambda _: None)
    assert ended == ["a"]
