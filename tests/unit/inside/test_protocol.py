"""The protocol, with a real worker at the other end of real pipes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
Write = Callable[..., Path]

INITIALIZE = {"protocol": 1}


def test_initialize_says_what_there_is(start_worker: Start) -> None:
    worker = start_worker()
    facts = worker.call("initialize", INITIALIZE)
    assert facts["protocol"] == 1
    assert facts["python"] == sys.version.split()[0]
    assert facts["pid"] == worker.process.pid
    assert facts["devices"] == ["cpu"]
    assert set(facts["packages"]) == {"numpy", "soundfile", "soxr", "av"}
    assert {"wav", "flac", "mp3", "ogg", "m4a"} <= set(facts["decodes"])
    assert facts["encodes"] == ["wav", "flac", "mp3", "opus", "m4a"]


def test_a_session_serves_many_tracks_and_ends(start_worker: Start, write_track: Write, out: Path) -> None:
    worker = start_worker()
    loaded = worker.start("hpss", mask_power=3.0)
    assert loaded["stems"] == ["harmonic", "percussive"]
    assert loaded["settings"]["mask_power"] == 3.0
    assert loaded["settings"]["overlap"] == 0.75
    track = write_track()
    for name in ("a", "b"):
        files = {"harmonic": f"{name}-h.wav", "percussive": f"{name}-p.wav"}
        worker.separate(track, out, files=files)
    assert sorted(path.name for path in out.iterdir()) == ["a-h.wav", "a-p.wav", "b-h.wav", "b-p.wav"]
    assert (out / "a-h.wav").read_bytes() == (out / "b-h.wav").read_bytes()
    assert worker.call("shutdown", {}) == {}
    assert worker.wait() == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocol": NaN}}', -32700),
        (b"9" * 5000, -32700 if sys.version_info >= (3, 11) else -32600),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"1", -32600),
        (b'{"id": 1, "method": "initialize"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "initialize"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "initialize"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "' + b"x" * (1 << 20) + b'"}', -32600),
    ],
    # The name of a running test is in the environment of what it starts, which must stay small.
    ids=lambda value: str(value)[:40],
)
def test_garbage_is_refused_and_the_session_goes_on(start_worker: Start, line: bytes, code: int) -> None:
    worker = start_worker()
    worker.send_bytes(line + b"\n")
    assert worker.receive()["error"]["code"] == code
    assert worker.call("initialize", INITIALIZE)["protocol"] == 1


def test_what_is_no_request_is_passed_over(start_worker: Start) -> None:
    worker = start_worker()
    worker.send_bytes(b"\n  \n")
    worker.send({"method": "no such notification"})
    worker.send({"method": "cancel", "params": {"id": 77}})
    worker.send({"method": "cancel", "params": []})
    assert worker.call("initialize", INITIALIZE)["protocol"] == 1


def test_requests_out_of_order(start_worker: Start, copying_adapter: Write, out: Path) -> None:
    worker = start_worker(copying_adapter())
    for method in ("load", "separate"):
        with pytest.raises(worker.Error) as raised:
            worker.call(method, {})
        assert raised.value.code == -32600
    with pytest.raises(worker.Error) as raised:
        worker.call("fly", {})
    assert (raised.value.code, raised.value.kind) == (-32601, "unknown_method")
    with pytest.raises(worker.Error) as raised:
        worker.call("initialize", {"protocol": 2})
    assert raised.value.code == -32602


def test_every_problem_of_the_parameters_is_named(start_worker: Start) -> None:
    worker = start_worker()
    worker.start()
    output = {"dir": "relative", "files": {"harmonic": "../h.wav"}, "format": "aac", "sample_rate": -1, "normalize": 1}
    params = {"input": 5, "start_seconds": -1, "duration_seconds": 1e300, "stems": "all", "output": output}
    with pytest.raises(worker.Error) as raised:
        worker.call("separate", params)
    assert raised.value.code == -32602
    assert {problem["path"] for problem in raised.value.data["problems"]} == {
        "input", "start_seconds", "duration_seconds", "stems",
        "output.dir", "output.files.harmonic", "output.format", "output.sample_rate", "output.normalize",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"stems": ["drums"]}, "stems"),
        ({"stems": []}, "stems"),
        ({"files": {"harmonic": "h.wav"}}, "output.files.percussive"),
        ({"files": {"harmonic": "h.wav", "percussive": "h.wav"}}, "output.files"),
    ],
)
def test_stems_must_exist_and_have_names(
    start_worker: Start, write_track: Write, out: Path, changes: dict[str, Any], path: str
) -> None:
    worker = start_worker()
    worker.start()
    with pytest.raises(worker.Error) as raised:
        worker.separate(write_track(), out, **changes)
    assert raised.value.code == -32602
    assert raised.value.data["problems"][0]["path"] == path


def test_settings_and_devices_that_do_not_exist(start_worker: Start) -> None:
    worker = start_worker()
    worker.call("initialize", INITIALIZE)
    for settings in ({"colour": 1}, {"overlap": 1.0}, {"overlap": "half"}, {"mask_power": True}):
        with pytest.raises(worker.Error) as raised:
            worker.load("hpss", **settings)
        assert raised.value.kind == "unsupported_setting"
    params = {"model": {"id": "m", "architecture": "Other"}, "artifacts": {}, "device": "cuda:0", "settings": {}}
    with pytest.raises(worker.Error, match="cuda:0"):
        worker.call("load", params)


def test_prints_and_raw_writes_do_not_reach_the_protocol(
    start_worker: Start, copying_adapter: Write, write_track: Write, out: Path
) -> None:
    shout = (
        "print('from Python'); os.write(1, b'from a descriptor\\n'); os.system('echo from a child');"
        " ctypes.CDLL(None).puts(b'from C'); ctypes.CDLL(None).fflush(None); assert sys.stdin.read() == ''"
    )
    worker = start_worker(copying_adapter(shout))
    worker.start()
    worker.separate(write_track(frames=1000), out)
    worker.call("shutdown", {})
    assert worker.wait() == 0
    for line in ("from Python", "from a descriptor", "from a child", "from C"):
        assert line in worker.log


def test_children_do_not_inherit_the_protocol(
    start_worker: Start, copying_adapter: Write, write_track: Write, out: Path
) -> None:
    code = "import os; print('open:', [n for n in range(3, 1024) if os.path.exists(f'/proc/self/fd/{n}')])"
    worker = start_worker(copying_adapter(f"subprocess.run([sys.executable, '-c', {code!r}], close_fds=False)"))
    worker.start()
    worker.separate(write_track(frames=1000), out)
    worker.call("shutdown", {})
    worker.wait()
    # 3 is what listing itself may open.
    assert "open: []" in worker.log or "open: [3]" in worker.log


SLOW = "context.progress(done, source.frames); context.check_cancelled(); time.sleep(0.02)"


def test_cancel_while_separating(start_worker: Start, copying_adapter: Write, write_track: Write, out: Path) -> None:
    worker = start_worker(copying_adapter(SLOW))
    worker.start()
    track = write_track(frames=44100 * 20)
    running = worker.request("separate", worker.separate_params(track, out))
    queued = worker.request("separate", worker.separate_params(track, out))
    worker.wait_for("progress")
    assert list(out.iterdir())
    worker.send({"method": "cancel", "params": {"id": queued}})
    worker.send({"method": "cancel", "params": {"id": running}})
    for request_id in (running, queued):
        with pytest.raises(worker.Error) as raised:
            worker.reply_to(request_id)
        assert raised.value.kind == "cancelled"
    assert not list(out.iterdir())
    worker.send({"method": "cancel", "params": {"id": running}})
    assert worker.separate(write_track(frames=2000), out)["outputs"][0]["frames"] == 2000


def test_the_host_goes_while_separating(
    start_worker: Start, copying_adapter: Write, write_track: Write, out: Path
) -> None:
    # An engine that is deep in its own code and never asks whether it was cancelled.
    worker = start_worker(copying_adapter("context.progress(done, None); time.sleep(600 if done > 1000 else 0)"))
    worker.start()
    worker.request("separate", worker.separate_params(write_track(), out, format="flac"))
    worker.wait_for("progress")
    assert list(out.iterdir())
    worker.hang_up()
    worker.process.wait(30)
    assert not list(out.iterdir())


def test_the_host_goes_while_idle(start_worker: Start) -> None:
    worker = start_worker()
    worker.start()
    worker.hang_up()
    assert worker.process.wait(30) == 0


def test_progress_is_limited_and_ends_at_the_end(
    start_worker: Start, copying_adapter: Write, write_track: Write, out: Path
) -> None:
    worker = start_worker(copying_adapter("context.progress(done, source.frames)"))
    worker.start()
    began = time.monotonic()
    worker.separate(write_track(frames=441_000), out, format="flac")
    seconds = time.monotonic() - began
    for stage in ("separate", "encode"):
        reports = [m["params"] for m in worker.notifications if m["params"]["stage"] == stage]
        assert 1 <= len(reports) <= 3 + 10 * seconds
        assert reports[-1]["done_frames"] == reports[-1]["total_frames"] == 441_000
        assert [r["done_frames"] for r in reports] == sorted(r["done_frames"] for r in reports)


def test_log_lines_reach_the_host(start_worker: Start, copying_adapter: Write) -> None:
    worker = start_worker(
        copying_adapter(load="context.log('warning', 'mind \\ud800'); context.log('shout', 'x' * 9999)")
    )
    worker.start()
    assert [m["params"]["level"] for m in worker.notifications] == ["warning", "info"]
    assert worker.notifications[0]["params"]["message"] == "mind \ud800"
    assert len(worker.notifications[1]["params"]["message"]) == 4000


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        ("raise ValueError('bad weights')", "model_failed", "ValueError: bad weights"),
        ("raise MemoryError", "out_of_memory", "MemoryError"),
        ("raise type('OutOfMemoryError', (RuntimeError,), {})('CUDA')", "out_of_memory", "OutOfMemoryError: CUDA"),
        ("sys.exit(3)", "model_failed", "SystemExit: 3"),
        ("context.fail('unsupported_setting', 'no', hint='do')", "unsupported_setting", "no"),
        ("block = block[:-1]", "model_failed", "the model wrote 1998 frames of the stem 'copy' for 2000 it read"),
        ("block = block[:, 0]", "model_failed", "the stem 'copy' has shape (1000,), not (frames, 2)"),
        ("block = block / 0", "model_failed", "the model made samples of the stem 'copy' that are not finite"),
    ],
)
def test_failures_of_the_model(
    start_worker: Start, copying_adapter: Write, write_track: Write, out: Path, step: str, kind: str, message: str
) -> None:
    worker = start_worker(copying_adapter(f"if os.path.exists({str(out / 'fail')!r}): {step}"))
    worker.start()
    (out / "fail").touch()
    with pytest.raises(worker.Error) as raised:
        worker.separate(write_track(frames=2000), out)
    assert (raised.value.kind, str(raised.value)) == (kind, message)
    assert ("traceback" in raised.value.data) == step.startswith(("raise", "sys"))
    (out / "fail").unlink()
    assert not list(out.iterdir())
    assert worker.separate(write_track(frames=2000), out)["outputs"][0]["frames"] == 2000


def test_an_adapter_that_cannot_be_loaded(start_worker: Start, tmp_path: Path) -> None:
    for text, message in (
        ("import no_such_engine", "No module named 'no_such_engine'"),
        ("x = 1", "has no function 'describe'"),
    ):
        path = tmp_path / "adapter.py"
        path.write_text(text)
        worker = start_worker(path)
        with pytest.raises(worker.Error, match=message) as raised:
            worker.call("initialize", INITIALIZE)
        assert raised.value.kind == "model_failed"


def test_a_result_that_is_not_json_is_an_error(start_worker: Start, copying_adapter: Write) -> None:
    worker = start_worker(copying_adapter(settings="{'x': float('nan')}"))
    with pytest.raises(worker.Error) as raised:
        worker.start()
    assert raised.value.code == -32603


def test_replies_are_ascii_lines(start_worker: Start, tmp_path: Path, out: Path) -> None:
    worker = start_worker()
    worker.start()
    params = worker.separate_params(tmp_path / "x.wav", out)
    params["input"] = str(tmp_path / "caf\udce9 \ud800.wav")
    with pytest.raises(worker.Error) as raised:
        worker.call("separate", params)
    assert raised.value.kind in ("input_missing", "model_failed", "input_unreadable")
    json.dumps(raised.value.data)


def test_an_adapter_may_be_a_folder(start_worker: Start, copying_adapter: Write, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    copying_adapter(load="from .words import WORD; context.log('info', WORD)").rename(folder / "__init__.py")
    (folder / "words.py").write_text("WORD = 'from beside'\n")
    worker = start_worker(folder)
    worker.start()
    assert [m["params"]["message"] for m in worker.notifications] == ["from beside"]


def test_adapter_gets_artifacts_with_names_and_formats(
    start_worker: Start, copying_adapter: Write, tmp_path: Path
) -> None:
    worker = start_worker(copying_adapter(load="context.log('info', repr(request['artifacts']['primary']))"))
    worker.call("initialize", INITIALIZE)
    params: dict[str, Any] = {"model": {"id": "m", "architecture": "Other"}, "device": "cpu", "settings": {}}
    artifact = {"path": str(tmp_path / "ab12"), "filename": "m.ckpt", "kind": "checkpoint"}
    worker.call("load", {**params, "artifacts": {"primary": artifact}})
    assert [m["params"]["message"] for m in worker.notifications] == [repr({**artifact, "format": "raw"})]
    for wrong in ({"format": "pickle"}, {"path": "m.ckpt"}, {"filename": "../m.ckpt"}):
        with pytest.raises(worker.Error) as raised:
            worker.call("load", {**params, "artifacts": {"primary": {**artifact, **wrong}}})
        assert raised.value.data["problems"][0]["path"] == f"artifacts.primary.{next(iter(wrong))}"
