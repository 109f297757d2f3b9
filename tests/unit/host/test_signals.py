"""Interrupts that wait."""

from __future__ import annotations

import signal
import sys

import pytest

from stemsep_envs.host import signals

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def test_an_interrupt_waits_until_a_started_child_is_noted() -> None:
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def interrupted_while_starting() -> None:
        with signals.signals_deferred():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end of the block")

    with pytest.raises(KeyboardInterrupt):
        interrupted_while_starting()
    assert reached
    assert signal.getsignal(signal.SIGINT) is before
