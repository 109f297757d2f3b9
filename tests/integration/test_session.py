"""A session gives the stems it took; publishing and recording them are other steps."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsep_envs.documents.events import Event
from stemsep_envs.errors import InterruptedRunError, LimitError, UsageError
from stemsep_envs.planning.plan import PlanOptions, refuse_if_blocked
from stemsep_envs.planning.plan_json import read_plan, write_plan
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.provision import provision
from stemsep_envs.separation.opening import open_planned
from stemsep_envs.separation.output_options import output_options
from stemsep_envs.separation.separated_track import TrackRequest
from stemsep_envs.separation.session import ModelSession

pytestmark = [pytest.mark.integration]

STEMS = ("harmonic", "percussive")


@pytest.fixture
def at_home(dsp_home: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return dsp_home


@pytest.fixture
def session(at_home: Path, tmp_path: Path) -> Iterator[ModelSession]:
    ready = provision(refuse_if_blocked(plan_model("dsp-hpss", PlanOptions())))
    with open_planned(ready.plan, ready.environment, scratch_parent=tmp_path / "scratch") as session:
        yield session


def request_for(song: Path, stems: tuple[str, ...] = STEMS) -> TrackRequest:
    return TrackRequest(song, stems, output_options())


def test_stems_are_there_in_the_block_and_published_nowhere(session: ModelSession, song: Path) -> None:
    beside = set(song.parent.iterdir())
    with session.separate(request_for(song)) as separated:
        paths = [taken.path for taken in separated.stems.values()]
        assert tuple(separated.stems) == STEMS
        sounds = [soundfile.read(path)[0] for path in paths]
        mix, _ = soundfile.read(song)
        assert np.abs(sum(sounds) - mix).max() < 1e-5
        assert set(song.parent.iterdir()) == beside
    assert not any(path.exists() for path in paths)


def test_stems_that_are_moved_in_the_block_stay(session: ModelSession, song: Path, tmp_path: Path) -> None:
    with session.separate(request_for(song)) as separated:
        shutil.move(separated.stems["harmonic"].path, tmp_path / "kept.wav")
        digest = separated.stems["harmonic"].sha256
    assert soundfile.info(tmp_path / "kept.wav").frames == soundfile.info(song).frames
    with session.separate(request_for(song, ("harmonic",))) as again:
        assert again.stems["harmonic"].sha256 == digest


def test_a_session_is_busy_until_the_block_ends(session: ModelSession, song: Path) -> None:
    with session.separate(request_for(song)):
        with pytest.raises(UsageError) as refused, session.separate(request_for(song)):
            pass
        assert refused.value.code == "session_busy"
    with session.separate(request_for(song)) as separated:
        assert set(separated.stems) == set(STEMS)


def test_a_failure_in_the_block_is_not_taken_for_the_tracks(session: ModelSession, song: Path) -> None:
    with pytest.raises(LimitError, match="in the block"), session.separate(request_for(song)):
        raise LimitError("in the block", code="out_of_memory")  # were it the track's, it would be tried again
    with session.separate(request_for(song)) as separated:
        assert not separated.settings


def test_closing_from_another_thread_waits_for_the_block(session: ModelSession, song: Path) -> None:
    closed = threading.Event()

    def close() -> None:
        session.close()
        closed.set()

    with session.separate(request_for(song)) as separated:
        closer = threading.Thread(target=close)
        closer.start()
        assert not closed.wait(0.5)
        assert all(taken.path.exists() for taken in separated.stems.values())
    closer.join(60)
    assert closed.is_set()
    with pytest.raises(UsageError, match="closed"), session.separate(request_for(song)):
        pass


def test_a_cancelled_track_leaves_no_stem(session: ModelSession, song: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(InterruptedRunError), session.separate(request_for(song), cancelled=cancelled):
        pytest.fail("nothing was separated")
    with session.separate(request_for(song)) as separated:
        assert len(separated.stems) == 2


def test_a_plan_that_was_written_and_read_is_carried_out(at_home: Path, song: Path, tmp_path: Path) -> None:
    plan = read_plan(write_plan(refuse_if_blocked(plan_model("dsp-hpss", PlanOptions()))))
    events: list[Event] = []
    ready = provision(plan, on_event=events.append)
    scratch = tmp_path / "scratch"
    with (
        open_planned(ready.plan, ready.environment, scratch_parent=scratch, on_event=events.append) as session,
        session.separate(request_for(song)) as separated,
    ):
        assert set(separated.stems) == set(STEMS)
    assert [event.step for event in events if event.event == "step"] == ["start", "load"]
