"""Stems are put in place with their record, all or none, also where a process ends in the middle of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import pytest

from stemsep_envs.errors import LimitError, UsageError
from stemsep_envs.host.atomic_write import publish, write_atomic
from stemsep_envs.host.paths import Home
from stemsep_envs.separation import publishing
from stemsep_envs.separation.output_names import TrackNames
from stemsep_envs.separation.publishing import journal_folder, published
from stemsep_envs.separation.scratch import Scratch, clear_folder, hidden_dir, session_scratch
from stemsep_envs.separation.undo_journal import Note, PlacedFile, aside, is_clean, write_note
from stemsep_envs.worker.ingest import Ingested

NAMES = TrackNames(
    {"bass": PurePosixPath("m/song/bass.wav"), "drums": PurePosixPath("m/song/drums.wav")},
    PurePosixPath("m/song/run.json"),
)
OLD = {"m/song/bass.wav": b"old bass", "m/song/drums.wav": b"old drums", "m/song/run.json": b"old record"}
NEW = {"m/song/bass.wav": b"new bass", "m/song/drums.wav": b"new drums", "m/song/run.json": b"new record"}


class Killed(BaseException):
    """The process ends here: nothing else of it runs."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def fill(out: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)


def found(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def place(out: Path, *, record: Callable[[], None] | None = None, journal_dir: Path | None = None) -> None:
    """Put the new stems in place, and their record."""
    taken_dir = out.parent / "taken"
    taken_dir.mkdir(exist_ok=True)
    taken = {}
    for stem, name in NAMES.stems.items():
        content = NEW[str(name)]
        (taken_dir / name.name).write_bytes(content)
        taken[stem] = Ingested(taken_dir / name.name, hashlib.sha256(content).hexdigest(), len(content))
    with ExitStack() as held:
        journal = journal_dir or held.enter_context(hidden_dir(out, home=Home(out.parent / "home")))
        with published(taken, NAMES, out, journal_dir=journal):
            if record is not None:
                record()
            write_atomic(out / NAMES.record, NEW[str(NAMES.record)])


def full_disk() -> None:
    raise LimitError("no space left", code="no_space")


@pytest.mark.parametrize("before", [{}, OLD, {"m/song/drums.wav": b"old drums"}])
def test_what_was_there_makes_room(out: Path, before: dict[str, bytes]) -> None:
    fill(out, before)
    place(out)
    assert found(out) == NEW
    assert list((out.parent / "home" / "cache" / "sessions").iterdir()) == []


@pytest.mark.parametrize("before", [{}, OLD, {"m/song/drums.wav": b"old drums"}, NEW])
def test_it_comes_back_where_the_record_cannot_be_written(out: Path, before: dict[str, bytes]) -> None:
    fill(out, before)
    with pytest.raises(LimitError):
        place(out, record=full_disk)
    assert found(out) == before


def test_it_comes_back_where_a_stem_cannot_be_placed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(out, OLD)

    def publish_one(staged: Path, final: Path) -> None:
        if final.name == "drums.wav":
            full_disk()
        publish(staged, final)

    monkeypatch.setattr(publishing, "publish", publish_one)
    with pytest.raises(LimitError):
        place(out)
    assert found(out) == OLD


def test_a_link_makes_room_and_comes_back(out: Path) -> None:
    fill(out.parent, {"precious": b"precious"})
    (out / "m" / "song").mkdir(parents=True)
    (out / "m" / "song" / "bass.wav").symlink_to(out.parent / "precious")
    with pytest.raises(LimitError):
        place(out, record=full_disk)
    assert (out / "m" / "song" / "bass.wav").is_symlink()
    place(out)
    assert found(out) == NEW
    assert (out.parent / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["drums.wav", "run.json"])
def test_a_folder_is_not_replaced(out: Path, name: str) -> None:
    fill(out, {f"m/song/{name}/precious": b"precious", "m/song/bass.wav": b"old bass"})
    before = found(out)
    with pytest.raises(UsageError, match="it is a folder"):
        place(out)
    assert found(out) == before


def place_until(out: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> bool:
    """Place, and be killed before (even) or after (odd) the n-th time that a name changes; say whether that was."""
    calls = 0

    def at_each(name: str) -> None:
        real = getattr(Path, name)

        def change(path: Path, target: Path) -> Path:
            nonlocal calls
            calls += 1
            if calls * 2 == step:
                raise Killed
            real(path, target)
            if calls * 2 + 1 == step:
                raise Killed
            return target

        monkeypatch.setattr(Path, name, change)

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "put_right", lambda *_, **__: None)  # a dead process puts nothing right
        at_each("rename")
        at_each("replace")
        try:
            place(out)
        except Killed:
            return True
        finally:
            monkeypatch.undo()
    return False


@pytest.mark.parametrize("before", [{}, OLD, {"m/song/drums.wav": b"old drums"}, {**NEW, "m/song/run.json": b"old"}])
def test_killed_publishing_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, bytes]
) -> None:
    ends = []
    for step in range(2, 100):
        out = tmp_path / str(step) / "out"
        out.mkdir(parents=True)
        fill(out, before)
        if not place_until(out, monkeypatch, step):
            break
        clear_folder(out)
        assert found(out) in (before, NEW), step
        ends.append(found(out) == NEW)
        place(out)
        assert found(out) == NEW, step
    assert ends == sorted(ends)
    assert ends.count(True) == 1, "when the record had its name, and not before"
    assert len(ends) >= 8


def left_by_another(out: Path, path: str, *, sha256: str | None = None) -> Path:
    folder = out / ".stemsep-env-1-00000000"
    (folder / "aside").mkdir(parents=True)
    (folder / "hold").touch()
    files = (PlacedFile(path="run.json", replaces=False), PlacedFile(path="x.wav", sha256=sha256, replaces=False))
    write_note(folder, Note(record_was=None, files=files))
    note = folder / "placing.json"
    note.write_bytes(note.read_bytes().replace(b"x.wav", path.encode()))
    return folder


@pytest.mark.parametrize("path", ["../precious", "/tmp/precious", "link/precious", "a/../../precious"])
def test_a_note_that_leads_elsewhere_is_not_followed(out: Path, path: str) -> None:
    fill(out.parent, {"precious": b"precious"})
    (out / "link").symlink_to(out.parent)
    if path.startswith("link") and os.geteuid() != 0:
        pytest.skip("only root gives links away")
    if os.geteuid() == 0:
        os.lchown(out / "link", 61_000, 61_000)
    folder = left_by_another(out, path, sha256=hashlib.sha256(b"precious").hexdigest())
    assert clear_folder(out) == []
    aside(folder, 1).write_bytes(b"evil")
    assert clear_folder(out) == []
    assert (out.parent / "precious").read_bytes() == b"precious"
    assert folder.is_dir()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_note_of_another_user_is_not_followed(out: Path) -> None:
    fill(out, {"x.wav": b"precious"})
    folder = left_by_another(out, "x.wav", sha256=hashlib.sha256(b"precious").hexdigest())
    os.chown(folder, 61_000, 61_000)
    assert clear_folder(out) == []
    assert (out / "x.wav").read_bytes() == b"precious"


def test_what_somebody_put_there_since_stays(out: Path) -> None:
    fill(out, {"x.wav": b"someone's"})
    folder = left_by_another(out, "x.wav", sha256=hashlib.sha256(b"ours").hexdigest())
    assert clear_folder(out) == [folder]
    assert found(out) == {"x.wav": b"someone's"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="makes a link of another user's")
@pytest.mark.parametrize("inner", ["m", "m/song"])
def test_root_goes_through_no_link_that_another_user_made(out: Path, inner: str) -> None:
    elsewhere = out.parent / "elsewhere"
    fill(elsewhere, {"run.json": b"precious", "song/run.json": b"precious"})
    (out / inner).parent.mkdir(parents=True, exist_ok=True)
    (out / inner).symlink_to(elsewhere)
    os.lchown(out / inner, 61_000, 61_000)
    before = found(elsewhere)
    with pytest.raises(UsageError, match="a link that another user made"):
        place(out)
    assert found(elsewhere) == before


def test_the_users_own_links_are_followed(out: Path) -> None:
    (out.parent / "elsewhere").mkdir()
    (out / "m").symlink_to(out.parent / "elsewhere")
    place(out)
    assert set(found(out.parent / "elsewhere")) == {"song/bass.wav", "song/drums.wav", "song/run.json"}


def test_killed_run_is_undone_where_the_output_is_a_link(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(out, OLD)
    assert place_until(out, monkeypatch, 9)
    assert {name: content for name, content in found(out).items() if ".stemsep" not in name} != OLD
    link = out.parent / "link"
    link.symlink_to(out)
    clear_folder(link)
    assert {name: content for name, content in found(out).items() if ".stemsep" not in name} == OLD


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
def test_a_note_that_is_no_plain_file_holds_nobody_up(out: Path) -> None:
    folder = out / ".stemsep-env-1-00000000"
    folder.mkdir()
    os.mkfifo(folder / "placing.json")
    os.utime(folder, (0, 0))
    clear_folder(out)
    assert folder.is_dir()
    if os.geteuid() == 0:
        os.chown(folder, 61_000, 61_000)
        clear_folder(out)
        assert folder.is_dir()


@pytest.fixture
def scratch(out: Path) -> Iterator[Scratch]:
    with session_scratch(out.parent / "scratch") as scratch:
        yield scratch


def test_a_journal_folder_is_gone_after_its_track(out: Path, scratch: Scratch) -> None:
    home = Home(out.parent / "home")
    with journal_folder(out, scratch=scratch, home=home) as journal:
        assert journal.parent == out
        assert len(list((home.cache_dir / "sessions").glob("*.where"))) == 1
    assert list(out.iterdir()) == []
    assert list((home.cache_dir / "sessions").iterdir()) == []


def test_the_sessions_own_folder_serves_in_its_output(scratch: Scratch, out: Path) -> None:
    with journal_folder(scratch.parent, scratch=scratch, home=Home(out.parent / "home")) as journal:
        assert journal == scratch.root
    assert scratch.root.is_dir()


@pytest.mark.parametrize("left", ["note", "aside"])
def test_a_folder_that_is_not_clean_is_not_used(out: Path, scratch: Scratch, left: str) -> None:
    if left == "note":
        write_note(scratch.root, Note(record_was=None, files=(PlacedFile(path="run.json", replaces=False),)))
    else:
        aside(scratch.root, 0).parent.mkdir()
    with journal_folder(scratch.parent, scratch=scratch, home=Home(out.parent / "home")) as journal:
        assert journal != scratch.root
        assert journal.parent == scratch.parent
    assert not journal.exists()


def test_what_was_put_aside_goes_with_the_note(out: Path) -> None:
    fill(out, OLD)
    with hidden_dir(out) as journal:
        place(out, journal_dir=journal)
        assert is_clean(journal)
    assert found(out) == NEW
