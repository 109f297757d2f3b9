"""A file is read again only when it may have changed, and then it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stemsep_envs.artifacts import blobs
from stemsep_envs.host.file_reading import sha256_of
from stemsep_envs.host.paths import Home

SHA = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    staged = tmp_path / "staged"
    staged.write_bytes(b"weights")
    blobs.store_blob(made, SHA, staged)
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []

    def noted(path: Path, *, check: Callable[[], None] | None = None) -> tuple[str, int]:
        found.append(path)
        return sha256_of(path, check=check)

    monkeypatch.setattr(blobs, "sha256_of", noted)
    return found


def test_a_file_that_is_as_it_was_is_not_read(home: Home, reads: list[Path]) -> None:
    assert blobs.blob_state(home, SHA) == "whole"
    assert blobs.has_blob(home, SHA)
    assert reads == []


def test_changed_file_with_its_time_set_back_is_read(home: Home, reads: list[Path]) -> None:
    path = blobs.blob_path(home, SHA)
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"Weights")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert blobs.blob_state(home, SHA) == "damaged"
    assert reads == [path]


def test_a_file_put_in_by_hand_is_read_once_it_is_old_enough(home: Home, reads: list[Path]) -> None:
    blobs.stamp_path(home, SHA).unlink()
    assert blobs.blob_state(home, SHA) == "whole"
    assert blobs.blob_state(home, SHA) == "whole"
    assert len(reads) == 2, "it may still be written to under the same time"


def test_what_is_no_plain_file_is_no_blob(home: Home, tmp_path: Path) -> None:
    path = blobs.blob_path(home, SHA)
    path.unlink()
    assert blobs.blob_state(home, SHA) == "absent"
    (tmp_path / "elsewhere").write_bytes(b"weights")
    path.symlink_to(tmp_path / "elsewhere")
    assert blobs.blob_state(home, SHA) == "damaged"
    path.unlink()
    path.mkdir()
    assert blobs.blob_state(home, SHA) == "damaged"


def test_stamps_that_are_damaged_mean_reading(home: Home, reads: list[Path]) -> None:
    for text in (b"", b"\xff", b"1 2 3 4"):
        blobs.stamp_path(home, SHA).write_bytes(text)
        assert blobs.blob_state(home, SHA) == "whole"
    assert len(reads) == 3


def test_use_is_noted(home: Home) -> None:
    os.utime(blobs.stamp_path(home, SHA), (5, 5))
    assert blobs.last_used_at(home, SHA) == 5
    blobs.mark_used(home, SHA)
    assert (blobs.last_used_at(home, SHA) or 0) > 5
    assert blobs.last_used_at(home, "0" * 64) is None


def test_only_hashes_are_listed(home: Home) -> None:
    folder = blobs.blob_path(home, SHA).parent
    (folder / "README").write_text("x")
    (folder / ("0" * 64)).write_text("in the wrong folder")
    assert blobs.stored_hashes(home) == [SHA]
