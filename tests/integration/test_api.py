"""The Python interface, on a real environment: what it returns, what it raises, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.conftest import files_below, leftovers, valid

import stemsep_envs
from stemsep_envs import (
    Deadlines,
    PlanOptions,
    StemsepEnvError,
    ensure,
    open_session,
    output_options,
    preflight,
    separate,
)
from stemsep_envs.documents.events import Event
from stemsep_envs.documents.protocol import ProgressParams
from stemsep_envs.errors import BlockedError, InterruptedRunError, LimitError, ModelError, UsageError
from stemsep_envs.host.scratch_dirs import scratch_dir as scratch_folder
from stemsep_envs.separation import stem_collection, tracks
from stemsep_envs.separation.run_records import write_record
from stemsep_envs.worker.ingest import Ingested, ingest

pytestmark = pytest.mark.integration

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(dsp_home: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the shared home, and see all else too as those who built it did."""
    for name in set(os.environ) - set(environ) - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return dsp_home


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def children() -> list[str]:
    """Programs that this process started and that still run."""
    me, found = str(os.getpid()), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat = (place / "stat").read_text().rpartition(")")[2].split()
            if stat[1] == me and stat[0] != "Z":
                found.append((place / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return [line for line in found if "entry.py" in line or "adapter" in line]


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, dsp_home: Path) -> object:
    yield
    assert children() == []
    assert leftovers(tmp_path) == []
    ours = f"-{os.getpid()}-"  # other processes of the test run share the home
    assert [name for name in leftovers(dsp_home / "cache") if ours in name] == []


def test_every_name_that_is_promised_is_there() -> None:
    for name in stemsep_envs.__all__:
        value = getattr(stemsep_envs, name)
        assert isinstance(value, str) or value.__doc__, name
    assert dir(stemsep_envs) == sorted(stemsep_envs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = stemsep_envs.nonsense


def test_preflight(song: Path) -> None:
    report = preflight("dsp-centre-side", song)
    assert report.can_proceed
    assert report.resolved is not None
    assert report.resolved.environment.state == "ready"
    assert report.input is not None
    assert report.input["channels"] == 2
    refused = preflight("dsp-hpss", options=PlanOptions(runtime="elsewhere"))
    assert not refused.can_proceed
    with pytest.raises(UsageError, match="no model 'dsp-hps'"):
        preflight("dsp-hps")


def test_ensure(home: Path) -> None:
    events: list[Event] = []
    report = ensure("dsp-hpss", "dsp-hpr", on_event=events.append)
    assert [model.reused for model in report.models] == [True, True]
    assert events == []
    assert Path(report.models[0].environment_dir).parent == home / "environments"
    with pytest.raises(BlockedError) as blocked:
        ensure("dsp-hpss", options=PlanOptions(runtime="elsewhere"))
    assert "runtime_not_allowed" in [reason.code for reason in blocked.value.reasons]


def test_separate_several(write: Write, out: Path) -> None:
    songs = [write(name, seconds=0.1) for name in ("a.wav", "b.wav")]
    events: list[Event] = []
    record = separate("dsp-hpss", [*songs, "nowhere.wav"], out, on_event=events.append)
    assert [track.status for track in record.tracks] == ["done", "done", "failed"]
    assert (record.exit_code, record.status) == (2, "failed")
    assert [event.event for event in events][-1] == "finished"
    assert valid(json.loads((out / "run.json").read_bytes()), "run") == json.loads(record.model_dump_json())
    again = separate("dsp-hpss", str(songs[0]), str(out))
    assert [track.status for track in again.tracks] == ["skipped"]
    with pytest.raises(UsageError):
        separate("dsp-hpss", [], out)
    with pytest.raises(UsageError, match="no vocals"):
        separate("dsp-hpss", songs, out, output=output_options(stems=("vocals",)))
    with pytest.raises(UsageError, match="is a file"):
        separate("dsp-hpss", songs, songs[0])


def test_a_session_of_several_tracks(write: Write, out: Path) -> None:
    songs = [write(f"{number}.wav", seconds=0.1, seed=number) for number in range(4)]
    seen: list[ProgressParams] = []
    with open_session("dsp-hpr") as session:
        assert session.stems == ("harmonic", "percussive", "residual")
        assert session.sample_rate is None
        for song in songs:
            track = session.separate(song, out, on_progress=seen.append)
            assert (track.status, track.frames, len(track.outputs)) == ("done", 4410, 3)
            mix, _ = soundfile.read(song)
            stems = [soundfile.read(out / made.path)[0] for made in track.outputs]
            assert np.abs(sum(stems) - mix).max() < 1e-6
            assert track.record is not None
            record = valid(json.loads((out / track.record).read_bytes()), "run")
            assert record["tracks"][0]["input"]["path"] == str(song)
    assert {progress.stage for progress in seen} == {"separate", "encode"}
    assert len(files_below(out)) == 4 * 4


def test_a_failing_track_between_good_ones(write: Write, out: Path, tmp_path: Path) -> None:
    good = write("good.wav", seconds=0.1)
    (tmp_path / "bad.wav").write_text("no audio")
    write("many.wav", channels=7, seconds=0.1)
    failures = {
        "bad.wav": "input_unreadable",
        "many.wav": "input_channels",
        "nowhere.wav": "input_missing",
        ".": "input_unreadable",
    }
    with open_session("dsp-hpss") as session:
        for number, (name, code) in enumerate(failures.items()):
            with pytest.raises(UsageError) as failed:
                session.separate(tmp_path / name, out)
            assert failed.value.code == code
            assert session.separate(good, out / str(number)).status == "done"
        with pytest.raises(UsageError) as failed:
            session.separate(good, out, output=output_options(start_seconds=5))
        assert failed.value.code == "range_empty"
        with pytest.raises(UsageError) as failed:
            session.separate(good, good)
        assert failed.value.code in {"not_a_folder", "not_writable"}
        with pytest.raises(UsageError, match="no vocals"):
            session.separate(good, out, output=output_options(stems=("vocals",)))
        assert session.separate(good, out).status == "done"


def test_what_is_there_is_refused_unless_it_is_to_be_replaced(song: Path, out: Path) -> None:
    with open_session("dsp-hpss") as session:
        first = session.separate(song, out, output=output_options(format="flac", bit_depth="16"))
        with pytest.raises(UsageError) as refused:
            session.separate(song, out, output=output_options(format="flac"))
        assert refused.value.code == "output_exists"
        second = session.separate(song, out, output=output_options(format="flac"), overwrite=True)
    assert first.outputs[0].sha256 != second.outputs[0].sha256
    assert soundfile.info(out / second.outputs[0].path).subtype == "PCM_24"


def test_track_cancelled_by_a_thread_keeps_the_session(write: Write, out: Path) -> None:
    long, short = write("long.wav", seconds=60), write("short.wav", seconds=0.1)
    cancelled = threading.Event()
    with open_session("dsp-hpss") as session:
        with pytest.raises(InterruptedRunError):
            session.separate(long, out, cancelled=cancelled, on_progress=lambda _: cancelled.set())
        assert not out.exists() or files_below(out) == []
        assert session.separate(short, out).status == "done"
        with pytest.raises(InterruptedRunError):
            session.separate(short, out / "again", cancelled=cancelled)
    assert not (out / "again" / "dsp-hpss").exists()


def test_a_restart_is_given_up_when_its_track_is(write: Write, out: Path) -> None:
    short, cancelled, steps = write("short.wav", seconds=0.1), threading.Event(), list[str | None]()

    def told(event: Event) -> None:
        steps.append(event.step)
        if steps.count("start") == 2:
            cancelled.set()

    with open_session("dsp-hpss", on_event=told) as session:
        session._loaded._connection.close(politely=False)  # as a cancellation that was not heeded ends it
        with pytest.raises(InterruptedRunError):
            session.separate(short, out, cancelled=cancelled)
        assert steps.count("start") == 2
        assert steps.count("load") == 1, "it was loaded for a track that nobody waits for"
        steps.clear()
        cancelled.clear()
        assert session.separate(short, out).status == "done"


def test_one_session_and_several_threads(write: Write, out: Path) -> None:
    long, short = write("long.wav", seconds=60), write("short.wav", seconds=0.1)
    with ThreadPoolExecutor(1) as other:
        begun = threading.Event()
        with open_session("dsp-hpss") as session:
            first = other.submit(session.separate, long, out, on_progress=lambda _: begun.set())
            assert begun.wait(60)
            with pytest.raises(UsageError) as refused:
                session.separate(short, out)
            assert refused.value.code == "session_busy"
        with pytest.raises(InterruptedRunError, match="closed"):
            first.result()
    assert not out.exists() or files_below(out) == []


def test_an_exception_of_the_callers(write: Write, out: Path) -> None:
    long, short = write("long.wav", seconds=30), write("short.wav", seconds=0.1)

    class TheirError(Exception):
        pass

    def fail(_: ProgressParams) -> None:
        raise TheirError

    with pytest.raises(TheirError), open_session("dsp-hpss") as session:  # noqa: PT012
        with pytest.raises(TheirError):
            session.separate(long, out, on_progress=fail)
        assert session.separate(short, out).status == "done"
        raise TheirError
    assert [name for name in files_below(out) if "/long/" in name] == []
    with pytest.raises(UsageError, match="the session is closed"):
        session.separate(short, out / "after")


def test_a_deadline(write: Write, out: Path) -> None:
    long, short = write("long.wav", seconds=120), write("short.wav", seconds=0.1)
    with open_session("dsp-hpss", deadlines=Deadlines(total_seconds=0.5)) as session:
        with pytest.raises(LimitError) as late:
            session.separate(long, out)
        assert late.value.code == "deadline"
        assert session.separate(short, out).status == "done"


def test_a_worker_that_is_killed_is_started_again(write: Write, out: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("looks for the worker in /proc")
    long, short = write("long.wav", seconds=60), write("short.wav", seconds=0.1)

    def kill(_: ProgressParams) -> None:
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    str(Path("inside") / "entry.py") in (place / "cmdline").read_text()
                    and mark in (place / "environ").read_text()
                ):
                    os.kill(int(place.name), signal.SIGKILL)
            except OSError:
                continue
        for folder in (out.parent / "scratch").glob(".stemsep-env-*/work"):  # its last deeds
            shutil.rmtree(folder / "tmp", ignore_errors=True)
            (folder / "tmp").touch()

    mark = str(out.parent)
    with open_session("dsp-hpss", scratch_dir=out.parent / "scratch") as session:
        with pytest.raises(StemsepEnvError) as died:
            session.separate(long, out, on_progress=kill)
        assert died.value.code in {"worker_died", "worker_killed"}
        assert session.separate(short, out).status == "done"
    assert leftovers(out.parent) == []


def test_a_track_that_is_refused_has_no_part_in_the_next(
    write: Write, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = [write(name, seconds=0.2, seed=seed) for seed, name in enumerate(("refused.wav", "next.wav"))]
    seen = 0

    def spoiled(source: Path, destination: Path, **options: Any) -> Ingested:
        """Have the worker's outputs of the first track be a folder, and a file that takes long to read."""
        nonlocal seen
        seen += 1
        if seen <= 2 and source.name == "0.wav":
            source.unlink()
            source.mkdir()
        elif seen <= 2:
            os.truncate(source, 1 << 30)
        return ingest(source, destination, **options)

    monkeypatch.setattr(stem_collection, "ingest", spoiled)
    with open_session("dsp-hpss") as session:
        with pytest.raises(ModelError) as refused:
            session.separate(songs[0], out)
        assert refused.value.code == "output_refused"
        track = session.separate(songs[1], out)
    for made in track.outputs:
        content = (out / made.path).read_bytes()
        assert (made.sha256, made.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert soundfile.info(out / made.path).frames == made.frames


def test_unwritable_record_leaves_the_earlier_stems(song: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise LimitError("no space left", code="no_space")

    with open_session("dsp-hpss") as session:
        session.separate(song, out)
        before = {name: (out / name).read_bytes() for name in files_below(out)}
        monkeypatch.setattr(tracks, "write_record", full)
        with pytest.raises(LimitError):
            session.separate(song, out, output=output_options(bit_depth="16"), overwrite=True)
        assert {name: (out / name).read_bytes() for name in files_below(out)} == before
        monkeypatch.setattr(tracks, "write_record", write_record)
        assert session.separate(song, out, output=output_options(bit_depth="16"), overwrite=True).status == "done"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a file system in memory")
def test_outputs_where_no_worker_can_be_shown_a_folder(song: Path) -> None:
    with scratch_folder(Path("/dev/shm"), "stemsep-env-test-") as folder:
        record = separate("dsp-hpss", song, folder / "out")
        assert record.exit_code == 0
        assert files_below(folder / "out/dsp-hpss/song") == ["harmonic.wav", "percussive.wav", "run.json"]
        assert leftovers(folder) == []


def test_two_sessions_at_once_in_one_process(write: Write, out: Path) -> None:
    songs = [write(f"{number}.wav", seconds=0.3, seed=number) for number in range(3)]

    def work(model: str) -> list[str]:
        with open_session(model) as session:
            return [made.sha256 for song in songs for made in session.separate(song, out).outputs]

    models = ["dsp-hpss", "dsp-hpr", "dsp-centre-side"]
    with ThreadPoolExecutor() as threads:
        together = list(threads.map(work, models))
    for model, digests in zip(models, together, strict=True):
        with open_session(model) as session:
            alone = [made.sha256 for song in songs for made in session.separate(song, out / "alone").outputs]
        assert alone == digests


def test_nested_sessions_share_an_output_folder(song: Path, out: Path) -> None:
    with open_session("dsp-hpss", scratch_dir=out) as one, open_session("dsp-hpr", scratch_dir=out) as two:
        assert one.separate(song, out).status == two.separate(song, out).status == "done"
    assert leftovers(out) == []


def test_relative_path_and_another_current_folder_work(song: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(song.parent)
    with open_session("dsp-hpss") as session:
        track = session.separate("song.wav", "out")
    assert track.input.path == str(song)
    assert (out / track.outputs[0].path).is_file()


def test_an_import_costs_next_to_nothing_and_prints_nothing() -> None:
    code = (
        "import sys, stemsep_envs; print(sorted(set(sys.modules) & {'pydantic', 'click', 'numpy', 'rich', 'typing'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_nothing_hidden_stays_in_outputs_between_tracks(write: Write, out: Path) -> None:
    short = write("short.wav", seconds=0.1)
    folders = [out / str(number) for number in range(3)]
    with open_session("dsp-hpss") as session:
        for folder in folders:
            session.separate(short, folder)
            assert [path.name for path in folder.iterdir()] == ["dsp-hpss"]
        shutil.rmtree(folders[0])  # whoever has heard the stems may remove them while the session goes on
        assert session.separate(short, folders[0]).status == "done"
