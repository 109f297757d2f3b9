"""A worker's lines as hostile input. What each does to a session is tested with real workers in `test_session`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.documents.protocol import MAX_LINE_BYTES, CancelParams, LoadResult, LogParams, WorkerWarning
from stemsep_envs.worker.messages import (
    ProtocolViolation,
    notification_line,
    parse_line,
    parse_reply,
    request_line,
)


def line(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def test_a_response_an_error_and_a_notification() -> None:
    assert parse_line(line(id=1, result={"a": 1})).result == {"a": 1}
    error = parse_line(line(id=1, error={"code": -1, "message": "m", "data": {"kind": "k", "new": 1}})).error
    assert error is not None
    assert (error.message, error.data.kind) == ("m", "k")
    assert parse_line(line(id=1, error={"code": -1, "message": "m"})).error is not None
    assert parse_line(line(method="log", params={"x": 1})).method == "log"
    assert parse_line(line(id=1, result={}, tomorrow="field")).id == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"null\n",
        line(id=1),
        line(id=None, result={}),
        line(id=-1, result={}),
        line(id=1 << 60, result={}),
        line(id=1.0, result={}),
        line(id=1, result=None),
        line(id=1, result=3),
        line(id=1, result={}, error=None, method="x"),
        line(id=1, error="x"),
        line(id=1, error={"code": "1", "message": "m"}),
        line(id=1, error={"code": 1, "message": "m" * 70_000}),
        line(method=""),
        line(method="x" * 300),
        line(method="x", params=[1]),
        line(id=1, result={}).strip(),
        b" " * MAX_LINE_BYTES + line(id=1, result={}),
        line(id=1, result={"x": float("nan")}),
        line(id=1, result={"x": 12345}).replace(b"12345", b"1" * 5000),
        line(id=1, result={"x": "\udc80"}),
        b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"result":{}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":' + b'{"a":' * 5000 + b"1" + b"}" * 5001 + b"\n",
        '{"jsonrpc":"2.0","id":1,"result":{}}\n'.encode("utf-16"),
        line(id=1, result={f"k{number}": 1 for number in range(80_000)}),
        line(id=1, result={f"k{number}": 1 for number in range(80_000)}).replace(b"k7777", b"k3333"),
        line(id=1, result={"x": [[]] * 250_000}),
        line(id=1, result={"k" * 500_000: [float("nan")] * 80_000}),
    ],
)
def test_everything_else_is_refused_in_few_words(data: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        parse_line(data)
    assert len(str(caught.value)) < 2_000


@given(st.one_of(st.binary(max_size=200), st.text(alphabet='{}[]":,0123456789.eE+-truefalsn\\u \n', max_size=60)))
def test_no_line_does_anything_but_parse_or_be_refused(data: bytes | str) -> None:
    encoded = data.encode() if isinstance(data, str) else data
    with pytest.raises(ProtocolViolation):
        parse_line(encoded + b"\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["id", "method", "params", "result", "error", "x"]), json_values))
def test_no_message_does_anything_but_parse_or_be_refused(message: dict[str, Any]) -> None:
    try:
        parsed = parse_line(line(**message))
    except ProtocolViolation:
        return
    assert (parsed.id is None) != (parsed.method is None)


def test_params_are_strict() -> None:
    assert parse_reply({"level": "info", "message": "m", "new": 1}, LogParams).message == "m"
    wrong: list[object] = [
        None,
        [],
        {},
        {"level": "info"},
        {"level": 1, "message": "m"},
        {"level": "x", "message": b""},
    ]
    for params in wrong:
        with pytest.raises(ProtocolViolation):
            parse_reply(params, LogParams)


STEER = "\x1b[31m\x9b\x7f\u202e\u2028"


def test_what_a_worker_says_is_cleaned_as_it_is_read() -> None:
    log = parse_reply({"level": f"in{STEER}fo\n", "message": f"a{STEER}\nb"}, LogParams)
    assert (log.level, log.message) == ("info ", "a\nb")
    loaded = parse_reply(
        {
            "stems": [f"vocals{STEER}"],
            "sample_rate": None,
            "channels": [2],
            "settings": {f"a{STEER}": f"b{STEER}", "c": [{f"d{STEER}": STEER}, 1, None]},
            "load_seconds": 0.0,
        },
        LoadResult,
    )
    assert loaded.stems == ["vocals"]
    assert loaded.settings == {"a": "b", "c": [{"d": ""}, 1, None]}
    error = parse_line(line(id=1, error={"code": 1, "message": STEER + "m", "data": {"kind": "k" + STEER}})).error
    assert error is not None
    assert (error.message, error.data.kind) == ("m", "k")
    with pytest.raises(ProtocolViolation):
        parse_reply({"level": STEER, "message": ""}, LogParams)  # nothing is left of it


@pytest.mark.parametrize("code", ["", "a" * 65, "Input", "a-b", "a\n", "input_silent\x1b[2J", "é"])
def test_a_warnings_code_is_a_plain_word(code: str) -> None:
    assert parse_reply({"code": "input_silent", "message": ""}, WorkerWarning).code == "input_silent"
    with pytest.raises(ProtocolViolation):
        parse_reply({"code": code, "message": ""}, WorkerWarning)


def test_our_own_lines_are_one_line_each() -> None:
    data = request_line(7, "cancel", CancelParams(id=3))
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    assert json.loads(data) == {"jsonrpc": "2.0", "id": 7, "method": "cancel", "params": {"id": 3}}
    assert json.loads(request_line(1, "shutdown", None))["params"] == {}
    assert "id" not in json.loads(notification_line("cancel", CancelParams(id=3)))
