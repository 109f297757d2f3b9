"""Conversations with real workers, most of which misbehave: each ends in one clear error and leaves nothing."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.worker.conversation import (
    BRISK,
    LOAD,
    PATIENT,
    assert_gone,
    eventually,
    opened,
    processes,
    separation,
    worker_command,
)

from stemsep_envs.documents.protocol import ProgressParams
from stemsep_envs.errors import (
    InterruptedRunError,
    LimitError,
    ModelError,
    StemsepEnvError,
    UsageError,
)
from stemsep_envs.host.command import Command
from stemsep_envs.host.exit_cause import ExitCause
from stemsep_envs.worker.connection import WorkerConnection
from stemsep_envs.worker.deadlines import Deadlines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs and checks are Linux's")


@pytest.fixture(autouse=True)
def hung_up() -> Iterator[None]:
    """End a test that hangs, with the stack of every thread: hanging is what these tests are about."""
    import faulthandler

    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def failed(session: WorkerConnection) -> StemsepEnvError:
    """Separate, and return the error that this must end in; a worker that was ended gives no second account of it."""
    with pytest.raises(StemsepEnvError) as caught:
        session.separate(separation())
    return caught.value


def assert_over(session: WorkerConnection) -> None:
    assert not session.alive
    with pytest.raises(ModelError, match="the worker has ended") as caught:
        session.separate(separation())
    assert caught.value.code == "worker_ended"


# --- it works


def test_a_polite_worker() -> None:
    with WorkerConnection(worker_command("polite"), deadlines=PATIENT) as session:
        assert session.initialize().devices == ["cpu"]
        assert session.load(LOAD).stems == ["vocals"]
        assert session.alive
        for _ in range(3):
            assert session.separate(separation()).gain == 1.0
        pid = session.pid
    assert_gone(pid)
    session.close()  # again does no harm
    assert_over(session)


def test_logs_and_progress_reach_the_caller_cleaned() -> None:
    heard: list[tuple[str, str]] = []
    seen: list[ProgressParams] = []
    with opened("logs-and-answers", on_log=lambda level, text: heard.append((level, text))) as session:
        session.separate(separation(), on_progress=seen.append)
        assert session.log.text().endswith("warning: hello there")
    assert heard == [("warning", "hello there")]
    assert [progress.done_frames for progress in seen] == [5]


def test_notifications_of_a_newer_worker_are_passed_over() -> None:
    with opened("unknown-notification") as session:
        assert session.separate(separation()).gain == 1.0


def test_a_thousand_requests_leave_nothing_behind() -> None:
    with opened("logs-and-answers") as session:
        session.separate(separation())
        gc.collect()
        before = descriptors(), threading.active_count(), resource_kilobytes()
        for _ in range(1000):
            session.separate(separation())
        gc.collect()
        after = descriptors(), threading.active_count(), resource_kilobytes()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 20_000


def test_many_sessions_leave_nothing_behind() -> None:
    with opened("polite"):
        pass
    before = descriptors(), threading.active_count()
    for behaviour in ("polite", "garbage", "killed", "closes-stdout", "endless-line") * 2:
        with opened(behaviour, deadlines=BRISK) as session:
            if behaviour == "polite":
                session.separate(separation())
            else:
                failed(session)
    gc.collect()
    assert (descriptors(), threading.active_count()) == before


# --- it fails, and goes on


@pytest.mark.parametrize(
    ("behaviour", "kind", "code", "message", "hint"),
    [
        ("fails", ModelError, "model_failed", "it failed", None),
        ("fails-input", UsageError, "input_unreadable", "not audio", "try another"),
        ("fails-memory", LimitError, "out_of_memory", "too big", None),
        ("fails-unknown-kind", ModelError, "model_failed", "odd", "Traceback:\n  boom"),
        ("fails-wordless", ModelError, "model_failed", "the model failed and did not say why", None),
    ],
)
def test_an_error_reply(behaviour: str, kind: type[StemsepEnvError], code: str, message: str, hint: str | None) -> None:
    with opened(behaviour) as session:
        for _ in range(2):  # and the session goes on
            error = failed(session)
            assert (type(error), error.code, error.message, error.hint) == (kind, code, message, hint)
            assert session.alive


def test_an_error_reply_is_not_believed_at_any_length() -> None:
    with opened("fails-at-length") as session:
        error = failed(session)
        assert len(error.message) < 3_000
        assert len(error.hint or "") < 10_000


# --- it says what is not the protocol


@pytest.mark.parametrize(
    "behaviour",
    [
        "wrong-id",
        "text-id",
        "true-id",
        "result-and-error",
        "neither",
        "request",
        "old-rpc",
        "batch",
        "wrong-result",
        "list-result",
        "many-outputs",
        "garbage",
        "empty-line",
        "not-utf8",
        "nul",
        "huge-line",
        "endless-line",
        "deep",
        "deep-object",
        "nan",
        "infinity",
        "long-int",
        "big-float",
        "surrogate",
        "duplicate-key",
        "bool-for-int",
        "text-for-int",
        "negative",
        "bad-progress",
        "bad-log",
        "null-params",
    ],
)
def test_what_is_not_the_protocol_ends_the_session(behaviour: str) -> None:
    with opened(behaviour) as session:
        error = failed(session)
        assert isinstance(error, ModelError)
        assert error.code == "protocol_violation"
        assert error.message.startswith("the worker broke the protocol during separate")
        assert len(error.message) < 700
        assert_over(session)


def test_a_reply_forged_before_its_request_is_refused() -> None:
    with opened("forges-next", at="load") as session:
        session.load(LOAD)
        assert failed(session).code == "protocol_violation"


@pytest.mark.parametrize("at", ["initialize", "load"])
def test_a_violation_names_its_request(at: str) -> None:
    with opened("garbage", at) as session:
        ask = session.initialize if at == "initialize" else lambda: session.load(LOAD)
        with pytest.raises(ModelError, match=f"during {at}"):
            ask()


# --- it is silent, or does not stop


def test_silence_at_start() -> None:
    deadlines = Deadlines(start_seconds=0.3)
    with opened("silent", "start", deadlines=deadlines) as session:
        with pytest.raises(LimitError, match=r"did not finish initialize within 0\.3 s") as caught:
            session.initialize()
        assert caught.value.code == "deadline"
        assert_over(session)


def test_silence_while_loading() -> None:
    deadlines = Deadlines(start_seconds=60, load_seconds=0.3)
    words = r"did not finish load within 0\.3 s"
    with opened("silent", "load", deadlines=deadlines) as session, pytest.raises(LimitError, match=words):
        session.load(LOAD)


def test_silence_in_a_request_tells_its_last_words() -> None:
    with opened("silent", deadlines=BRISK) as session:
        error = failed(session)
        assert isinstance(error, LimitError)
        assert error.hint == "the end of its log:\nabout to be silent"
        assert_over(session)


def test_a_line_that_never_ends_is_silence() -> None:
    with opened("partial-silent", deadlines=BRISK) as session:
        assert failed(session).code == "deadline"


def test_ignoring_sigterm_and_shutdown_does_not_help() -> None:
    with opened("deaf", deadlines=BRISK) as session:
        assert failed(session).code == "deadline"
    with opened("deaf", "never", deadlines=BRISK):
        pass  # `opened` sees that it is gone


@pytest.mark.parametrize("at", ["initialize", "load"])
def test_talk_does_not_hold_off_the_deadlines_of_start_and_load(at: str) -> None:
    deadlines = Deadlines(**{f"{'start' if at == 'initialize' else 'load'}_seconds": 0.5})
    with opened("talks", at, deadlines=deadlines) as session:
        ask = session.initialize if at == "initialize" else lambda: session.load(LOAD)
        with pytest.raises(LimitError, match=rf"did not finish {at} within 0\.5 s"):
            ask()
        assert not session.crashed


@pytest.mark.parametrize("behaviour", ["talks", "new-stages"])
def test_talk_is_no_sign_that_a_request_gets_on(behaviour: str) -> None:
    with opened(behaviour, deadlines=BRISK) as session:
        assert failed(session).message.startswith("the worker made no progress for 0.5 s during separate")
        assert not session.crashed


def test_a_track_may_have_a_deadline_of_its_own() -> None:
    words = r"did not finish separate within 0\.5 s"
    with opened("slow-progress") as session, pytest.raises(LimitError, match=words):
        session.separate(separation(), total_seconds=0.5)
    deadlines = Deadlines(start_seconds=60, load_seconds=60, silence_seconds=60, total_seconds=0.5)
    with opened("slow-progress", deadlines=deadlines) as session, pytest.raises(LimitError, match=words):
        session.separate(separation(), total_seconds=60)


def test_progress_keeps_a_request_until_its_deadline() -> None:
    deadlines = Deadlines(start_seconds=60, load_seconds=60, silence_seconds=0.5, total_seconds=2.0)
    seen: list[ProgressParams] = []
    words = "did not finish separate within 2 s"
    with opened("slow-progress", deadlines=deadlines) as session, pytest.raises(LimitError, match=words):
        session.separate(separation(), on_progress=seen.append)
    assert len(seen) > 1


def test_endless_notifications_do_not_stop_the_deadline() -> None:
    deadlines = Deadlines(start_seconds=60, load_seconds=60, silence_seconds=30, total_seconds=1.0)
    with opened("endless-lines", deadlines=deadlines) as session:
        before = resource_kilobytes()
        assert failed(session).code == "deadline"
        assert resource_kilobytes() - before < 60_000


# --- cancelling


def cancel_soon(cancelled: threading.Event) -> threading.Timer:
    timer = threading.Timer(0.2, cancelled.set)
    timer.start()
    return timer


def cancel_in_progress(session: WorkerConnection) -> None:
    cancelled = threading.Event()
    with pytest.raises(InterruptedRunError):
        session.separate(separation(), on_progress=lambda _: cancelled.set(), cancelled=cancelled)


def test_a_cancelled_request_leaves_the_session_usable() -> None:
    with opened("cancellable") as session:
        for _ in range(2):
            cancel_in_progress(session)
            assert session.alive


def test_cancelled_is_cancelled_though_the_worker_was_done() -> None:
    with opened("done-when-cancelled") as session:
        cancel_in_progress(session)
        assert session.alive


@pytest.mark.parametrize("behaviour", ["silent", "deaf", "chatters-when-cancelled"])
def test_a_worker_that_ignores_a_cancellation_is_ended(behaviour: str) -> None:
    deadlines = Deadlines(start_seconds=60, load_seconds=60, silence_seconds=60, cancel_seconds=0.2)
    cancelled = threading.Event()
    with opened(behaviour, deadlines=deadlines) as session:
        cancel_soon(cancelled)
        with pytest.raises(InterruptedRunError, match="did not stop by itself"):
            session.separate(separation(), cancelled=cancelled)
        assert_over(session)


@pytest.mark.parametrize("at", ["initialize", "load"])
def test_a_start_can_be_cancelled(at: str) -> None:
    deadlines = Deadlines(start_seconds=60, load_seconds=60, cancel_seconds=0.2)
    cancelled = threading.Event()
    with opened("silent", at, deadlines=deadlines) as session:
        cancel_soon(cancelled)
        with pytest.raises(InterruptedRunError, match="did not stop by itself"):
            session.initialize(cancelled=cancelled) if at == "initialize" else session.load(LOAD, cancelled=cancelled)
        assert_over(session)
        assert not session.crashed


def test_closed_by_another_thread_a_request_is_interrupted() -> None:
    with opened("silent") as session:
        timer = threading.Timer(0.2, session.close, kwargs={"politely": False})
        timer.start()
        with pytest.raises(InterruptedRunError, match="closed"):
            session.separate(separation())
        timer.join()
        assert not session.crashed


@pytest.mark.parametrize(
    ("behaviour", "crashed"), [("exit-3", True), ("garbage", True), ("fails", False), ("polite", False)]
)
def test_whether_it_ended_by_its_own_doing(behaviour: str, crashed: bool) -> None:
    with opened(behaviour) as session:
        with suppress(StemsepEnvError):
            session.separate(separation())
        assert session.crashed is crashed
    assert session.crashed is crashed
    with opened("polite") as session:
        os.kill(session.pid, signal.SIGKILL)
        eventually(lambda: session.crashed)


def test_cancelled_beforehand_nothing_is_asked() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with opened("exit-3") as session:
        with pytest.raises(InterruptedRunError):
            session.separate(separation(), cancelled=cancelled)
        assert session.alive


# --- it dies


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ("exit-3", ModelError, "exit status 3"),
        ("exit-0", ModelError, "exit status 0"),
        ("segfault", ModelError, "killed by SIGSEGV (a crash in native code)"),
        ("aborted", ModelError, "killed by SIGABRT"),
        ("killed", LimitError, "killed by SIGKILL (often: the system ran out of memory)"),
        ("exit-137", LimitError, "exit status 137, which stands for SIGKILL (often: the system ran out of memory)"),
        ("too-much-cpu", LimitError, "killed by SIGXCPU (more processor time than allowed)"),
        ("partial-killed", LimitError, "killed by SIGKILL"),
    ],
)
def test_a_death_is_told_once_with_its_cause(behaviour: str, kind: type[StemsepEnvError], words: str) -> None:
    with opened(behaviour) as session:
        error = failed(session)
        assert type(error) is kind
        assert error.message.startswith(f"the worker died during separate: {words}")
        assert_over(session)


def test_a_death_tells_its_last_words() -> None:
    with opened("exit-3") as session:
        assert failed(session).hint == "the end of its log:\nlast words"


def test_a_sandbox_may_know_more_about_a_death() -> None:
    def explain(status: int) -> ExitCause:
        return ExitCause(f"status {status} means too much output", over_limit=True)

    words = "the worker died during initialize: status 3 means too much output"
    command = worker_command("exit-3", "initialize")
    session = WorkerConnection(command, deadlines=PATIENT, explain_end=explain)
    with session, pytest.raises(LimitError, match=words):
        session.initialize()


def test_closing_its_side_and_living_on() -> None:
    with opened("closes-stdout", deadlines=BRISK) as session:
        error = failed(session)
        assert error.code == "worker_died"
        assert error.message == "the worker closed its output during separate and was ended"
        assert error.hint == "the end of its log:\nclosing my side"


def test_a_death_between_requests_is_one_error() -> None:
    with opened("polite") as session:
        os.kill(session.pid, signal.SIGKILL)
        eventually(lambda: not session.alive)
        assert failed(session).message.startswith("the worker died during separate: killed by SIGKILL")
        assert_over(session)


def test_a_program_that_is_not_there() -> None:
    command = Command(("/nowhere/python", "-I"), {}, Path("/"))
    with pytest.raises(StemsepEnvError, match="cannot start /nowhere/python") as caught:
        WorkerConnection(command)
    assert caught.value.code == "cannot_start"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pipe-")]


# --- what it leaves behind


def test_a_daemon_in_its_group_ends_with_the_session() -> None:
    with opened("daemon") as session:
        session.separate(separation())


def test_daemon_holding_the_pipes_does_not_block_the_host() -> None:
    with opened("daemon-then-exit") as session:
        assert failed(session).message.endswith("exit status 3")


def test_a_daemon_out_of_reach_does_not_hold_up_the_host() -> None:
    """In a session of its own it escapes our kill: to end it is the sandbox's part, not to wait for it is ours."""
    before = {pid for pid, _ in processes()}
    with opened("setsid-daemon-then-exit") as session:
        pid = session.pid
        assert failed(session).message.endswith("exit status 3")
    escaped = [
        other for other, facts in processes() if other not in before and facts[1] == "1" and facts[3] != str(pid)
    ]
    ours = [other for other in escaped if b"setsid-daemon" in Path(f"/proc/{other}/cmdline").read_bytes()]
    for other in ours:
        os.kill(other, signal.SIGKILL)
    assert len(ours) == 1


# --- it says too much, or does not listen


def test_a_hundred_thousand_log_lines() -> None:
    count = 0

    def heard(_level: str, _text: str) -> None:
        nonlocal count
        count += 1

    with opened("log-flood", on_log=heard) as session:
        before = resource_kilobytes()
        session.separate(separation())
        assert count == 100_000
        assert resource_kilobytes() - before < 60_000
        assert session.log.tail().splitlines()[-1] == "info: line 99999"


def test_fat_log_lines_while_the_host_is_slow() -> None:
    first = threading.Event()

    def heard(_level: str, _text: str) -> None:
        if not first.is_set():
            first.set()
            time.sleep(1)  # meanwhile nobody takes what the worker says: 60 MB would be a lot to keep

    with opened("fat-log-flood", on_log=heard) as session:
        before = resource_kilobytes()
        session.separate(separation())
        assert resource_kilobytes() - before < 30_000


def test_progress_flood() -> None:
    with opened("progress-flood") as session:
        session.separate(separation())


def test_a_hundred_megabytes_on_stderr() -> None:
    with opened("stderr-flood") as session:
        before = resource_kilobytes()
        session.separate(separation())
        eventually(lambda: session.log.tail().endswith("the last line"))
        assert len(session.log.text()) < 5_000_000
        assert resource_kilobytes() - before < 60_000


def test_talking_after_the_last_request_delays_no_end() -> None:
    deadlines = Deadlines(start_seconds=60, load_seconds=60, shutdown_seconds=0.3)
    with WorkerConnection(worker_command("endless-lines", "shutdown"), deadlines=deadlines) as session:
        session.initialize()
        pid = session.pid
    assert_gone(pid)


def test_terminal_tricks_do_not_reach_the_terminal() -> None:
    with opened("hostile-log") as session:
        hint = failed(session).hint or ""
        assert sorted(hint.splitlines()) == ["100%", "info: level text", "red textgnp.exe 31mx", "the end of its log:"]


def test_a_large_request_to_a_worker_that_does_not_read() -> None:
    with opened("stops-reading", "load", deadlines=BRISK) as session:
        session.load(LOAD)
        with pytest.raises(LimitError, match="made no progress"):
            session.separate(separation(padding=10_000_000))


def test_a_large_request_arrives_whole() -> None:
    with opened("polite") as session:
        assert session.separate(separation(padding=3_000_000)).gain == 1.0


# --- the caller fails


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_an_interrupt_while_waiting_leaves_no_process() -> None:
    with WorkerConnection(worker_command("silent"), deadlines=PATIENT) as session:
        session.initialize()
        session.load(LOAD)
        pid = session.pid
        timer = threading.Timer(0.3, press_ctrl_c)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            session.separate(separation())
        assert_gone(pid)
        assert_over(session)


def test_an_interrupt_in_a_polite_end_leaves_no_process() -> None:
    session = WorkerConnection(worker_command("deaf", "never"), deadlines=PATIENT)
    session.initialize()
    timer = threading.Timer(0.3, press_ctrl_c)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        session.close()
    assert_gone(session.pid)


def test_a_callers_function_that_fails_ends_the_session() -> None:
    def burst(_: ProgressParams) -> None:
        raise BrokenPipeError("nobody looks")

    with opened("logs-and-answers") as session:
        with pytest.raises(BrokenPipeError):
            session.separate(separation(), on_progress=burst)
        assert_over(session)  # else the reply would be there for the next request


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resource_kilobytes() -> int:
    """How much memory this process has taken at most, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
