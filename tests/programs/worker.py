"""A worker in a page, for the standard library alone: polite but for the one thing that its argument names.

    python worker.py BEHAVIOUR [AT]

AT is the method during which it happens (default: separate). Before that, requests are answered as they should be.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

RESULTS: dict[str, Any] = {
    "initialize": {
        "protocol": 1,
        "python": "3",
        "platform": "test",
        "packages": {},
        "devices": ["cpu"],
        "decodes": ["wav"],
        "encodes": ["wav"],
        "pid": os.getpid(),
    },
    "load": {"stems": ["vocals"], "sample_rate": None, "channels": [1, 2], "settings": {}, "load_seconds": 0.0},
    "separate": {
        "input": {
            "sample_rate": 44100,
            "channels": 2,
            "frames": 10,
            "duration_seconds": 0.1,
            "container": "wav",
            "subtype": "PCM_16",
        },
        "range": {"start_frame": 0, "frames": 10},
        "outputs": [],
        "gain": 1.0,
        "gain_reason": None,
        "warnings": [],
        "timings": {"decode_seconds": 0, "separate_seconds": 0, "encode_seconds": 0, "total_seconds": 0},
        "peak_memory_bytes": 1,
    },
    "shutdown": {},
}

request: dict[str, Any] = {}


def raw(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def send(**message: Any) -> None:
    raw(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def answer() -> None:
    send(id=request["id"], result=RESULTS[request["method"]])


def text(result: bytes) -> None:
    """A result written by hand, for what json.dumps would not write."""
    raw(b'{"jsonrpc":"2.0","id":%d,"result":%s}\n' % (request["id"], result))


def progress(frames: int = 1) -> None:
    params = {"id": request["id"], "stage": "separate", "done_frames": frames, "total_frames": None}
    send(method="progress", params=params)


def log(words: str, level: str = "info") -> None:
    send(method="log", params={"level": level, "message": words})


def fail(kind: str = "model_failed", message: str = "it failed", **data: str) -> None:
    send(id=request["id"], error={"code": -32000, "message": message, "data": {"kind": kind, **data}})


def say(words: str) -> None:
    os.write(2, words.encode() + b"\n")


def sleep() -> NoReturn:
    """Do nothing, for as long as a test may take: a run that is killed must not leave us for ever."""
    for _ in range(300):
        time.sleep(1)
    os._exit(99)


def deaf() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def silent() -> NoReturn:
    say("about to be silent")
    sleep()


def daemon(*, session: bool) -> None:
    """Leave a process behind that holds all our pipes, in our session or in one of its own."""
    if os.fork() == 0:
        if session:
            os.setsid()
        if os.fork() == 0:
            deaf()
            sleep()
        os._exit(0)
    os.wait()


def die_by(number: int) -> None:
    say("about to die")
    os.kill(os.getpid(), number)
    sleep()


def segfault() -> None:
    say("about to crash")
    ctypes.string_at(0)


def flood(one: Callable[[int], None], times: int = 100_000) -> None:
    for count in range(times):
        one(count)
    answer()


def endless(block: bytes) -> NoReturn:
    while True:
        raw(block)


def stderr_flood() -> None:
    block = b"\x1b[31m" + b"x" * (1 << 16)
    for _ in range(1600):
        os.write(2, block)
    os.write(2, b"\nthe last line\n")
    answer()


def hostile_log() -> None:
    say("\x1b[2J\x1b]0;owned\x07red\x1b[31m text\u202egnp.exe \x9b31mx\x08")
    say("10%\r20%\r100%")
    log("level\x1b[31m text\u202e")
    os._exit(9)


def cancellable() -> None:
    progress()
    line = json.loads(sys.stdin.buffer.readline())
    assert line["method"] == "cancel", line
    assert line["params"]["id"] == request["id"], line
    fail("cancelled", "cancelled")


def done_when_cancelled() -> None:
    progress()
    sys.stdin.buffer.readline()
    answer()


def chatters_when_cancelled() -> NoReturn:
    while True:
        progress()


def slow_progress() -> NoReturn:
    frames = 0
    while True:
        frames += 1
        progress(frames)
        time.sleep(0.05)


def talk() -> NoReturn:
    """Say everything there is to say but that the request gets on."""
    progress(5)
    while True:
        log("still here")
        send(method="from_the_future", params={})
        progress(5)
        progress(4)
        send(method="progress", params={"id": 1, "stage": "separate", "done_frames": 9, "total_frames": None})
        time.sleep(0.02)


def new_stages() -> NoReturn:
    count = 0
    while True:
        count += 1
        params = {"id": request["id"], "stage": f"stage {count}", "done_frames": 1, "total_frames": None}
        send(method="progress", params=params)
        time.sleep(0.02)


def closes_stdout() -> None:
    say("closing my side")
    os.close(1)
    sleep()


def partial_then(end: Callable[[], object]) -> None:
    os.write(1, b'{"jsonrpc": "2.0", "id": 1, "res')
    end()


def stops_reading() -> None:
    """Answer, and never read again."""
    answer()
    sleep()


def forges_next() -> None:
    """Answer, and at once also a guess of what the next request's id could be."""
    answer()
    for guess in (request["id"] + 1, 0, 1, 2):
        send(id=guess, result=RESULTS["separate"])


def many_outputs() -> None:
    result = dict(RESULTS["separate"])
    stem = {"stem": "x", "file": "y", "frames": 1, "sample_rate": 1, "channels": 1, "peak": 0.0, "subtype": "x"}
    send(id=request["id"], result={**result, "outputs": [stem] * 65})


def unknown_notification() -> None:
    send(method="from_the_future", params={"anything": [1, 2, 3]})
    answer()


def exits_with_daemon(*, session: bool) -> NoReturn:
    daemon(session=session)
    os._exit(3)


def in_turn(*steps: Callable[[], object]) -> Callable[[], object]:
    return lambda: [step() for step in steps]


BEHAVIOURS: dict[str, Callable[[], object]] = {
    "polite": answer,
    "silent": silent,
    "deaf": in_turn(deaf, silent),
    "wrong-id": lambda: send(id=request["id"] + 1, result=RESULTS[request["method"]]),
    "text-id": lambda: send(id=str(request["id"]), result={}),
    "true-id": lambda: send(id=True, result={}),
    "forges-next": forges_next,
    "result-and-error": lambda: send(id=request["id"], result={}, error={"code": 1, "message": "x"}),
    "neither": lambda: send(id=request["id"]),
    "request": lambda: send(id=1, method="read_file", params={"path": "/etc/passwd"}),
    "old-rpc": lambda: raw(b'{"id": 1, "result": {}}\n'),
    "wrong-result": lambda: send(id=request["id"], result={"stems": "all"}),
    "list-result": lambda: send(id=request["id"], result=[]),
    "many-outputs": many_outputs,
    "batch": lambda: raw(b'[{"jsonrpc": "2.0", "id": 1, "result": {}}]\n'),
    "garbage": lambda: raw(b"Loading model... 100%\n"),
    "empty-line": lambda: raw(b"\n"),
    "not-utf8": lambda: raw(b'"\xff\xfe"\n'),
    "nul": lambda: raw(b"\0" * 100 + b"\n"),
    "huge-line": in_turn(lambda: raw(b'"' + b"x" * (1 << 20) + b'"\n'), sleep),
    "endless-line": lambda: endless(b"x" * 65536),
    "endless-lines": lambda: endless(b'{"jsonrpc":"2.0","method":"x"}\n' * 1000),
    "deep": lambda: text(b"[" * 500_000 + b"]" * 500_000),
    "deep-object": lambda: text(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "nan": lambda: text(json.dumps({**RESULTS["separate"], "gain": float("nan")}).encode()),
    "infinity": lambda: text(json.dumps({**RESULTS["separate"], "gain": 1e999}).encode()),
    "long-int": lambda: text(json.dumps(RESULTS["separate"]).replace("44100", "1" * 5000).encode()),
    "big-float": lambda: text(json.dumps(RESULTS["separate"]).replace("44100", "1e400").encode()),
    "surrogate": lambda: text(json.dumps(RESULTS["separate"]).replace('"wav"', '"\\ud800"').encode()),
    "duplicate-key": lambda: text(b'{"gain":1.0,' + json.dumps(RESULTS["separate"]).encode()[1:]),
    "bool-for-int": lambda: text(json.dumps(RESULTS["separate"]).replace("44100", "true").encode()),
    "text-for-int": lambda: text(json.dumps(RESULTS["separate"]).replace("44100", '"44100"').encode()),
    "negative": lambda: text(json.dumps(RESULTS["separate"]).replace("44100", "-1").encode()),
    "bad-progress": in_turn(lambda: send(method="progress", params={"id": request["id"]}), sleep),
    "bad-log": in_turn(lambda: send(method="log", params={"level": 3, "message": None}), sleep),
    "null-params": in_turn(lambda: send(method="log", params=None), sleep),
    "unknown-notification": unknown_notification,
    "log-flood": lambda: flood(lambda count: log(f"line {count}")),
    "progress-flood": lambda: flood(progress),
    "fat-log-flood": lambda: flood(lambda _: log("x" * 60_000), 1000),
    "stderr-flood": stderr_flood,
    "hostile-log": hostile_log,
    "exit-3": in_turn(lambda: say("\x1b[31mlast words\x1b[0m"), lambda: os._exit(3)),
    "exit-0": lambda: os._exit(0),
    "exit-137": lambda: os._exit(137),
    "segfault": segfault,
    "killed": lambda: die_by(signal.SIGKILL),
    "aborted": lambda: die_by(signal.SIGABRT),
    "too-much-cpu": lambda: die_by(signal.SIGXCPU),
    "partial-killed": lambda: partial_then(lambda: die_by(signal.SIGKILL)),
    "partial-silent": lambda: partial_then(sleep),
    "closes-stdout": closes_stdout,
    "daemon": in_turn(lambda: daemon(session=False), answer),
    "daemon-then-exit": lambda: exits_with_daemon(session=False),
    "setsid-daemon-then-exit": lambda: exits_with_daemon(session=True),
    "stops-reading": stops_reading,
    "cancellable": cancellable,
    "done-when-cancelled": done_when_cancelled,
    "chatters-when-cancelled": chatters_when_cancelled,
    "slow-progress": slow_progress,
    "talks": talk,
    "new-stages": new_stages,
    "logs-and-answers": in_turn(lambda: log("hello \x1b[31mthere", "warning"), lambda: progress(5), answer),
    "fails": fail,
    "fails-input": lambda: fail("input_unreadable", "not \x1b[31maudio", hint="try \u202eanother"),
    "fails-memory": lambda: fail("out_of_memory", "too big"),
    "fails-unknown-kind": lambda: fail("a_new_kind", "odd", traceback="Traceback:\n  boom"),
    "fails-wordless": lambda: fail(message="\x1b[0m"),
    "fails-at-length": lambda: fail(message="m" * 60_000, traceback="t" * 60_000),
}


def main() -> None:
    behaviour = BEHAVIOURS[sys.argv[1]]
    at = sys.argv[2] if len(sys.argv) > 2 else "separate"
    if at == "start":
        behaviour()
    if sys.argv[1] == "deaf":
        deaf()
    while True:
        line = sys.stdin.buffer.readline()
        if not line:
            return sleep() if sys.argv[1] == "deaf" else None
        request.clear()
        request.update(json.loads(line))
        if "id" not in request:
            continue
        if request["method"] == at:
            behaviour()
        elif request["method"] == "shutdown" and sys.argv[1] == "deaf":
            sleep()
        elif request["method"] == "shutdown":
            return answer()
        else:
            answer()


if __name__ == "__main__":
    main()
