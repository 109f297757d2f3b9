"""The frame every command runs in: exit codes, defects, signals."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from stemsep_envs.cli import app
from stemsep_envs.commands import doctor
from stemsep_envs.errors import InterruptedRunError, LimitError
from stemsep_envs.host.signals import ENDING_SIGNALS


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `doctor` fail: no command does so by itself in every way."""

    def examine() -> None:
        raise error

    monkeypatch.setattr(doctor, "examine_host", examine)


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (LimitError("full", code="no_space"), 7, "no_space"),
        (InterruptedRunError("stopped"), 130, "interrupted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("x"), 3, "bug"),
        (RecursionError("x"), 3, "bug"),
    ],
)
def test_every_way_to_fail(
    error: BaseException,
    code: int,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails_with(error, monkeypatch)
    assert app.run_app(["doctor", "--json"]) == code
    said = capsys.readouterr()
    assert (json.loads(said.out)["error"]["code"], "Traceback" in said.err) == (name, False)


def test_interruption_wrapped_by_a_library_still_interrupts(
    handlers: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As pydantic does where it comes while a schema is built."""

    def examine() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interruption:
            raise ValueError("cannot build a validator") from interruption

    monkeypatch.setattr(doctor, "examine_host", examine)
    assert app.run_app(["doctor", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "interrupted"


def test_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run_app(["registry", "list"]) == 0
    assert "dsp-hpss" in capsys.readouterr().out


@pytest.fixture
def handlers() -> Iterator[list[object]]:
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    yield list(before.values())
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", ENDING_SIGNALS)
def test_further_signals_disturb_no_clean_up(handlers: list[object], first: signal.Signals) -> None:
    cleaned = []

    def interrupted_twice() -> None:
        with app._interruptible():
            try:
                signal.raise_signal(first)
            finally:
                signal.raise_signal(signal.SIGINT)
                cleaned.append("up")

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert cleaned
    for number in ENDING_SIGNALS:
        signal.raise_signal(number)


def test_handlers_are_left_as_they_were(handlers: list[object]) -> None:
    app.run_app(["--version"])
    assert [signal.getsignal(number) for number in ENDING_SIGNALS] == handlers


def test_a_signal_that_was_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    app.run_app(["--version"])
    signal.raise_signal(signal.SIGINT)


def test_inherited_signal_settings_do_not_hide_children() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        app._mend_signals()
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {*ENDING_SIGNALS} == set()
    finally:
        signal.signal(signal.SIGCHLD, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
