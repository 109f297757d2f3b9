"""The host's own work on a track: bounded, and over when the track is."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError
from stemsep_envs.separation.stem_collection import TrackWork, take_stems
from stemsep_envs.worker.ingest import Ingested

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes files of holes")

FILES = {"bass": "0.wav", "drums": "1.wav"}
HOLES = 1 << 40
"""Bytes that nobody could read to their end here."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as threads:
        yield threads


def place(folder: Path) -> Path:
    for name in ("theirs", "ours"):
        (folder / name).mkdir(parents=True)
    return folder


def holes(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(HOLES)


def take(folder: Path, work: TrackWork, max_bytes: int = HOLES) -> dict[str, Ingested]:
    return take_stems(FILES, folder / "theirs", folder / "ours", work, max_bytes=max_bytes, confined=True)


def work_on(
    pool: ThreadPoolExecutor, *, cancelled: threading.Event | None = None, total_seconds: float | None = None
) -> TrackWork:
    return TrackWork(pool, cancelled=cancelled, total_seconds=total_seconds)


def test_a_track_that_fails_leaves_nothing_to_the_next(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    one, two = place(tmp_path / "one"), place(tmp_path / "two")
    (one / "theirs" / "0.wav").mkdir()
    holes(one / "theirs" / "1.wav")
    with pytest.raises(ModelError, match=r"0\.wav was refused"), work_on(pool) as work:
        take(one, work)
    assert list((one / "ours").iterdir()) == []
    for file in FILES.values():
        (two / "theirs" / file).write_bytes(file.encode())
    with work_on(pool) as work:
        taken = take(two, work)
    for stem, file in FILES.items():
        assert taken[stem].path.read_bytes() == file.encode()
        assert taken[stem].sha256 == hashlib.sha256(file.encode()).hexdigest()


def test_the_bound_is_one_for_all_stems(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    folder = place(tmp_path)
    for file in FILES.values():
        (folder / "theirs" / file).write_bytes(os.urandom(700_000))
    with pytest.raises(LimitError, match="larger than the 1000000 bytes") as caught, work_on(pool) as work:
        take(folder, work, max_bytes=1_000_000)
    assert caught.value.code == "output_too_large"


def test_the_time_of_a_track_is_up(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    folder = place(tmp_path)
    for file in FILES.values():
        holes(folder / "theirs" / file)
    with pytest.raises(LimitError) as caught, work_on(pool, total_seconds=0.2) as work:
        take(folder, work)
    assert caught.value.code == "deadline"
    assert list((folder / "ours").iterdir()) == []


def test_a_track_is_cancelled_while_its_stems_are_taken(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    folder, cancelled = place(tmp_path), threading.Event()
    for file in FILES.values():
        holes(folder / "theirs" / file)
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(InterruptedRunError), work_on(pool, cancelled=cancelled) as work:
        take(folder, work)


def test_whatever_was_started_ends_with_the_track(pool: ThreadPoolExecutor) -> None:
    began, ended = threading.Event(), threading.Event()

    def for_ever(work: TrackWork) -> None:
        try:
            while True:
                began.set()
                work.check()
        finally:
            ended.set()

    with work_on(pool) as work:
        work.start(for_ever, work)
        began.wait()
    assert ended.is_set()
