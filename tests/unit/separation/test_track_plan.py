"""What becomes of each track, decided before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.errors import UsageError
from stemsep_envs.separation.existing import Existing
from stemsep_envs.separation.inputs import InputTrack
from stemsep_envs.separation.output_names import DEFAULT_TEMPLATE, TrackSource, plan_names
from stemsep_envs.separation.output_options import OutputPlan, output_options, output_plan
from stemsep_envs.separation.track_plan import decide_tracks

STEMS = ("bass", "drums")


def plan(folder: Path, existing: Existing, template: str = DEFAULT_TEMPLATE) -> OutputPlan:
    return output_plan(folder / "out", output_options(), existing=existing, template=template)


def decide(folder: Path, names: list[str], existing: Existing, template: str = DEFAULT_TEMPLATE) -> list[str]:
    """Return the first stem of each track that would be separated."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    tracks = [InputTrack(TrackSource(folder / name)) for name in names]
    planned = plan_names("model", [track.source for track in tracks], STEMS, "wav", template)
    decided = decide_tracks(tracks, planned, plan(folder, existing, template), wanted_digest=lambda: None)
    assert all(track.outcome is None for track in decided)
    return [str(next(iter(track.names.stems.values()))) for track in decided]


def occupy(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_new_name_is_free_on_the_disk_and_in_the_plan(tmp_path: Path) -> None:
    occupy(tmp_path, "model/song/drums.wav", "model/song (2)/run.json", "model/SONG (3)/bass.wav")
    made = decide(tmp_path, ["song.wav", "Song (4).wav", "song (5).wav"], "rename")
    assert len({path.casefold() for path in made}) == 3
    assert made[1:] == ["model/Song (4)/bass.wav", "model/song (5)/bass.wav"]
    assert made[0] in {"model/song (3)/bass.wav", "model/song (6)/bass.wav"}


def test_a_new_name_without_a_folder(tmp_path: Path) -> None:
    occupy(tmp_path, "song bass.wav", "song bass (2).wav")
    assert decide(tmp_path, ["song.wav"], "rename", "{track} {stem}.{ext}") == ["song bass (3).wav"]


def test_overwriting_keeps_the_names(tmp_path: Path) -> None:
    occupy(tmp_path, "model/song/drums.wav")
    assert decide(tmp_path, ["song.wav"], "overwrite") == ["model/song/bass.wav"]


@pytest.mark.parametrize("existing", ["skip", "error"])
def test_what_is_there_is_refused(tmp_path: Path, existing: Existing) -> None:
    occupy(tmp_path, "model/song/drums.wav")
    (tmp_path / "song.wav").touch()
    track = InputTrack(TrackSource(tmp_path / "song.wav"))
    names = plan_names("model", [track.source], STEMS, "wav")
    (decided,) = decide_tracks([track], names, plan(tmp_path, existing), wanted_digest=lambda: "a" * 64)
    assert decided.outcome is not None
    assert decided.outcome.error is not None
    assert (decided.outcome.status, decided.outcome.error.code, decided.outcome.exit_code) == (
        "failed",
        "output_exists",
        2,
    )


def test_an_input_that_vanished_before_it_was_compared(tmp_path: Path) -> None:
    occupy(tmp_path, "model/song/drums.wav")
    track = InputTrack(TrackSource(tmp_path / "song.wav"))
    names = plan_names("model", [track.source], STEMS, "wav")
    (decided,) = decide_tracks([track], names, plan(tmp_path, "skip"), wanted_digest=lambda: "a" * 64)
    assert decided.outcome is not None
    assert decided.outcome.error is not None
    assert decided.outcome.error.code == "input_unreadable"


def test_an_input_that_was_refused_stays_so(tmp_path: Path) -> None:
    refused = InputTrack(TrackSource(tmp_path / "song.wav"), UsageError("no", hint="why", code="input_missing"))
    names = plan_names("model", [refused.source], STEMS, "wav")
    (decided,) = decide_tracks([refused], names, plan(tmp_path, "overwrite"), wanted_digest=lambda: None)
    assert decided.outcome is not None
    assert decided.outcome.error is not None
    assert (decided.outcome.error.code, decided.outcome.error.hint, decided.outcome.exit_code) == (
        "input_missing",
        "why",
        2,
    )
