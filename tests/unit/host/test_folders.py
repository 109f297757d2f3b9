"""Making folders, also for a user whose folders cannot be trusted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.unit.host.conftest import names_in
from tests.unprivileged import unprivileged

from stemsep_envs.errors import UsageError
from stemsep_envs.host.folders import ensure_dir, make_owned_dir

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_ensure_dir_says_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert ensure_dir(tmp_path / "a" / "b").is_dir()
    assert ensure_dir(tmp_path / "a" / "b").is_dir()
    with pytest.raises(UsageError, match="is a file, not a folder"):
        ensure_dir(tmp_path / "file")
    with pytest.raises(UsageError, match="a part of the path is a file"):
        ensure_dir(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="the name is too long"):
        ensure_dir(tmp_path / ("x" * 300))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_no_name_in_a_folder_of_another_user_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours, victim = tmp_path / "theirs", tmp_path / "ours", tmp_path / "victim"
    theirs.mkdir()
    ours.mkdir()
    os.chown(theirs, 61_000, 61_000)
    victim.write_bytes(b"precious")

    def swap_all() -> None:
        """Put a link to another's file in the place of every folder, as who owns `theirs` may at any moment."""
        for entry in list(os.scandir(theirs)):
            if not entry.is_symlink():
                real[os, "rename"](entry.path, f"{entry.path}.kept")
                Path(entry.path).symlink_to(victim)

    def watched(owner: object, name: str) -> object:
        def call(*args: object, **kwargs: object) -> object:
            done = real[owner, name](*args, **kwargs)
            if not acting:
                acting.append(True)
                swap_all()
                acting.clear()
            return done

        return call

    acting: list[bool] = []
    windows: list[tuple[object, str]] = [(os, name) for name in ("mkdir", "open", "fstat", "fchown", "chown", "rename")]
    windows += [(Path, name) for name in ("mkdir", "stat", "lstat", "chmod", "rename")]
    real = {(owner, name): getattr(owner, name) for owner, name in windows}
    for owner, name in windows:
        monkeypatch.setattr(owner, name, watched(owner, name))
    made = make_owned_dir(theirs, ours=ours)
    monkeypatch.undo()
    assert (victim.stat().st_uid, victim.stat().st_mode & 0o777) == (0, 0o644)
    kept = made.with_name(f"{made.name}.kept")
    assert (kept.stat().st_uid, kept.stat().st_gid, kept.stat().st_mode & 0o777) == (61_000, 61_000, 0o700)
    assert names_in(ours) == set()


def test_folder_for_another_user_is_new_with_a_secret_name(tmp_path: Path) -> None:
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    made = {make_owned_dir(tmp_path / "theirs", ours=tmp_path / "ours") for _ in range(3)}
    assert {path.name for path in made} == names_in(tmp_path / "theirs")
    assert all(path.is_dir() and len(path.name) == 16 for path in made)


def test_who_locked_himself_out_gets_his_folder_all_the_same() -> None:
    with unprivileged() as folder:
        for name in ("theirs", "ours"):
            (folder / name).mkdir()
        (folder / "theirs").chmod(0)
        assert make_owned_dir(folder / "theirs", ours=folder / "ours").is_dir()
