"""From what was named to tracks, over real folders with what real folders hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unprivileged import unprivileged

from stemsep_envs.errors import UsageError
from stemsep_envs.separation.inputs import InputTrack, collect_inputs, read_list


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder like any: audio, other things, hidden ones, folders."""
    folder = tmp_path / "music"
    for name in ("b.wav", "a.FLAC", "clip.mp4", "cover.jpg", "notes.txt", ".hidden.wav", "._a.flac", "noext"):
        make(folder / name)
    for name in ("live/c.wav", "live/1999/d.ogg", ".trash/e.wav", "empty/readme.txt"):
        make(folder / name)
    return folder


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def collect(*named: Path, recursive: bool = False) -> list[InputTrack]:
    return collect_inputs(named, recursive=recursive, decodes=["wav", "flac", "ogg"])


def names(tracks: list[InputTrack]) -> list[str]:
    return [track.path.name for track in tracks]


def codes(tracks: list[InputTrack]) -> list[str | None]:
    return [track.error.code if track.error else None for track in tracks]


def test_a_folder_gives_its_audio_in_order(music: Path) -> None:
    tracks = collect(music)
    assert names(tracks) == ["a.FLAC", "b.wav", "clip.mp4"]
    assert codes(tracks) == [None] * 3
    assert [track.source.parent for track in tracks] == ["", "", ""]


def test_recursive(music: Path) -> None:
    tracks = collect(music, recursive=True)
    assert names(tracks) == ["a.FLAC", "b.wav", "clip.mp4", "c.wav", "d.ogg"]
    assert [track.source.parent for track in tracks] == ["", "", "", "live", "live/1999"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(music: Path) -> None:
    tracks = collect(music / "noext", music / ".hidden.wav", music / "notes.txt")
    assert names(tracks) == ["noext", ".hidden.wav", "notes.txt"]
    assert codes(tracks) == [None] * 3
    assert names(collect(music / ".trash")) == ["e.wav"]


def test_paths_are_absolute(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(music)
    (track,) = collect(Path("live/../b.wav"))
    assert track.path == music / "b.wav"


def test_what_is_named_twice_runs_once(music: Path) -> None:
    (music / "link.wav").symlink_to("b.wav")
    tracks = collect(music / "b.wav", music, music / "b.wav", music / "link.wav")
    assert names(tracks) == ["b.wav", "a.FLAC", "clip.mp4"]
    (missing,) = collect(music / "none.wav", music / "none.wav")
    assert missing.error is not None


def test_a_link_keeps_the_name_that_was_given(music: Path) -> None:
    (music / "link.wav").symlink_to("b.wav")
    assert names(collect(music / "link.wav")) == ["link.wav"]


def test_a_missing_input_stays_with_its_error(music: Path) -> None:
    tracks = collect(music / "none.wav", music / "b.wav", music / "b.wav" / "below")
    assert names(tracks) == ["none.wav", "b.wav", "below"]
    assert codes(tracks) == ["input_missing", None, "input_unreadable"]
    assert tracks[0].error is not None
    assert tracks[0].error.message == f"{music / 'none.wav'} does not exist"


def test_broken_and_looping_links_are_told(music: Path) -> None:
    (music / "broken.wav").symlink_to("nowhere.wav")
    (music / "loop.wav").symlink_to("loop.wav")
    (music / "broken.txt").symlink_to("nowhere.txt")
    tracks = collect(music)
    assert names(tracks) == ["a.FLAC", "b.wav", "broken.wav", "clip.mp4", "loop.wav"]
    assert codes(tracks) == [None, None, "input_missing", None, "input_unreadable"]
    assert "a link to a file that does not exist" in str(tracks[2].error)
    assert codes(collect(music / "loop.wav")) == ["input_unreadable"]


def test_folders_that_contain_themselves_end(music: Path) -> None:
    (music / "again").symlink_to(music)
    (music / "live" / "up").symlink_to("..")
    assert len(collect(music, recursive=True)) == 5
    assert names(collect(music / "again")) == ["a.FLAC", "b.wav", "clip.mp4"]


@pytest.mark.parametrize("name", ["x" * 300 + ".wav", "a\0b.wav", "a\nb.wav", "\udcff.wav"])
def test_names_that_cannot_be_or_hardly(tmp_path: Path, name: str) -> None:
    (track,) = collect(tmp_path / name)
    assert track.error is not None
    assert track.error.code in {"input_missing", "input_unreadable"}


def test_odd_names_are_found(tmp_path: Path) -> None:
    odd = ["new\nline.wav", "-rf.wav", " .wav", "{stem}.wav", os.fsdecode(b"\xff\xfe.wav"), "[x]*?.wav", "a.b.c.WAV"]
    for name in odd:
        make(tmp_path / name)
    tracks = collect(tmp_path)
    assert set(names(tracks)) == set(odd)
    assert codes(tracks) == [None] * len(odd)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    make(tmp_path / "a.wav")
    assert names(collect(tmp_path)) == ["a.wav"]
    assert codes(collect(tmp_path / "pipe.wav", Path("/dev/null"))) == ["input_unreadable"] * 2


def test_what_may_not_be_read_is_told() -> None:
    with unprivileged() as folder:
        make(folder / "music" / "closed" / "inside.wav")
        make(folder / "music" / "a.wav")
        make(folder / "music" / "b.wav").chmod(0o000)
        (folder / "music" / "closed").chmod(0o000)
        tracks = collect(folder / "music", recursive=True)
        assert names(tracks) == ["a.wav", "b.wav", "closed"]
        assert codes(tracks) == [None, "input_unreadable", "input_unreadable"]
        assert codes(collect(folder / "music" / "b.wav")) == ["input_unreadable"]
        assert codes(collect(folder / "music" / "closed")) == ["input_unreadable"]
        assert codes(collect(folder / "music" / "closed" / "inside.wav")) == ["input_unreadable"]


def test_nothing_to_do_is_said(music: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no input was named"):
        collect()
    with pytest.raises(UsageError, match="no audio files in") as caught:
        collect(music / "empty")
    assert caught.value.code == "no_inputs"
    assert "-r" in (caught.value.hint or "")


# --- lists


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("a.wav\nb c.wav\n", ["/base/a.wav", "/base/b c.wav"]),
        ("a.wav\r\nb.wav\r\n", ["/base/a.wav", "/base/b.wav"]),
        ("\ufeffa.wav", ["/base/a.wav"]),
        ("# a comment\n  # another\n\n   \n/abs/x.wav\n./#1.wav", ["/abs/x.wav", "/base/#1.wav"]),
        ("a\nb.wav\0#c.wav\0 d.wav\0", ["/base/a\nb.wav", "/base/#c.wav", "/base/ d.wav"]),
        (" leading and trailing .wav \n", ["/base/ leading and trailing .wav "]),
        ("", []),
        ("\n#\n", []),
        ("\udcff.wav\n", ["/base/\udcff.wav"]),
    ],
)
def test_read_list(text: str, paths: list[str]) -> None:
    assert read_list(text, Path("/base")) == [Path(path) for path in paths]
