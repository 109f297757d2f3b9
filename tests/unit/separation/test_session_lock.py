"""Who may use a session, and when it ends."""

from __future__ import annotations

import threading

import pytest

from stemsep_envs.errors import InterruptedRunError, LimitError, StemsepEnvError, UsageError
from stemsep_envs.separation.session_lock import SessionLock


def test_one_after_another() -> None:
    lock = SessionLock()
    for _ in range(2):
        with lock.held():
            pass
    with pytest.raises(LimitError), lock.held():
        raise LimitError("as it is")
    lock.close(lambda: pytest.fail("there is nobody to interrupt"))
    lock.close(lambda: pytest.fail("there is nobody to interrupt"))
    with pytest.raises(UsageError, match="closed") as caught, lock.held():
        pass
    assert caught.value.code == "worker_ended"


def test_another_thread_meanwhile_is_refused() -> None:
    lock = SessionLock()
    refused: list[str] = []

    def ask() -> None:
        try:
            with lock.held():
                pass
        except StemsepEnvError as error:
            refused.append(error.code)

    with lock.held():
        other = threading.Thread(target=ask)
        other.start()
        other.join()
        ask()  # nor may what is called in a turn ask for another
    ask()
    assert refused == ["session_busy", "session_busy"]


@pytest.mark.parametrize("error", [LimitError("killed"), InterruptedRunError("the session was closed"), None])
def test_closing_interrupts_a_turn_and_waits_for_its_end(error: StemsepEnvError | None) -> None:
    lock = SessionLock()
    begun, interrupted, seen = threading.Event(), threading.Event(), list[object]()

    def use() -> None:
        try:
            with lock.held():
                begun.set()
                assert interrupted.wait(60)
                seen.append("over")
                if error is not None:
                    raise error
        except InterruptedRunError:
            seen.append("interrupted")

    user = threading.Thread(target=use)
    user.start()
    assert begun.wait(60)
    lock.close(interrupted.set)
    assert "over" in seen
    user.join()
    assert seen[1:] == ([] if error is None else ["interrupted"])


def test_closing_within_a_turn_does_not_wait_for_itself() -> None:
    lock = SessionLock()
    with lock.held():
        lock.close(lambda: pytest.fail("it is ours"))
