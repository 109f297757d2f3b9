"""Lines that may be anything."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.inside.messages import MAX_LINE_BYTES, Message, Outbox, RpcError, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_message_or_refused(line: bytes) -> None:
    try:
        outcome: Message | int = parse(line)
    except RpcError as error:
        outcome = error.code
    assert isinstance(outcome, Message) or outcome in (-32700, -32600)


@given(st.none() | st.integers() | st.text(), st.text(), JSON)
def test_a_message_is_what_was_sent(request_id: Any, method: str, params: Any) -> None:
    value = {"jsonrpc": "2.0", "method": method, "params": params}
    if request_id is not None:
        value["id"] = request_id
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        with pytest.raises(RpcError):
            parse(json.dumps(value).encode())
    else:
        assert parse(text.encode()) == Message(request_id, method, params)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.floats()))
def test_what_is_written_is_strict_json(method: str, params: dict[str, Any]) -> None:
    reading, writing = os.pipe()
    try:
        outbox = Outbox(writing, lost=lambda: pytest.fail("lost"))
        outbox.reply(1, {method: params})
        line = os.read(reading, 1 << 20)
    finally:
        os.close(reading)
        os.close(writing)
    assert line.count(b"\n") == 1
    message = json.loads(line, parse_constant=pytest.fail)
    assert ("result" in message) != ("error" in message)


def test_a_result_that_is_too_long_is_an_error() -> None:
    reading, writing = os.pipe()
    Outbox(writing, lost=lambda: pytest.fail("lost")).reply(1, {"text": "x" * MAX_LINE_BYTES})
    assert json.loads(os.read(reading, 1 << 16))["error"]["code"] == -32603
    os.close(reading)
    lost: list[str] = []
    Outbox(writing, lost=partial(lost.append, "lost")).notify("log", {})
    assert lost == ["lost"]
    os.close(writing)
